"""The sample model: train, export, golden requests, package. TensorFlow lives here only."""
