"""One Logger, one Tracer and one Metrics for all functions."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger(service="modeldrop")
tracer = Tracer(service="modeldrop")
metrics = Metrics(namespace="modeldrop/functions", service="modeldrop")
