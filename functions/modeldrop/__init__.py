"""modeldrop: guarded releases of TensorFlow models on SageMaker."""

__version__ = "0.1.0"
