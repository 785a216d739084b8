"""model.tar.gz and SavedModel checks: streaming, without TensorFlow."""
