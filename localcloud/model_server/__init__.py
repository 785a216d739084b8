"""A model server: TensorFlow Serving's REST rules inside SageMaker's container contract, one process a fleet."""
