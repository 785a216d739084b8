"""The only files that import boto3: one adapter a service."""
