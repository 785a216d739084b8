"""AWS on one laptop: moto, plus what moto lacks, one file each."""
