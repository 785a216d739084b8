"""What a policy may say, where that is not free, as a page: the source of docs/policy-limits.md."""

from __future__ import annotations

import sys

from modeldrop.policy.environment import APPLICATION_PREFIX, MAX_ENVIRONMENT_BYTES_EACH, VARIABLES
from modeldrop.policy.strict_yaml import MAX_DEPTH, MAX_NAME_CHARACTERS, MAX_NODES, MAX_POLICY_BYTES
from modeldrop.policy.trust import ENVIRONMENT, FIELDS

_BEGINNING = f"""# What rollout.yaml may not say
Written by `python -m modeldrop.policy.page`; a test keeps it current. Fields and their ranges:
[rollout.schema.json](rollout.schema.json).

## The file
At most {MAX_POLICY_BYTES // 1024} KiB of UTF-8, {MAX_NODES:,} names and values, nested {MAX_DEPTH} deep, names of
at most {MAX_NAME_CHARACTERS} characters; no anchors, aliases, tags or duplicate names. A refusal tells the first
problems, and how many more there are.

## endpoint.environment
The container's shell, loader, Python, nginx and gunicorn take code and options from many variables (`LD_PRELOAD`,
`PYTHONPATH`, `BASH_ENV`, `GUNICORN_CMD_ARGS`, `SAGEMAKER_PROGRAM`). So only these are taken, with these values, in this
case. Names that begin with `{APPLICATION_PREFIX}` are for the handler in `code/`: they need `artifact: {{code: allow}}`
and hold at most {MAX_ENVIRONMENT_BYTES_EACH} bytes of text without control characters.
Source: aws/deep-learning-containers, `scripts/docker/tensorflow/inference`.

| variable | what it does | allowed |
|---|---|---|
"""
_UNSIGNED = """
## On a stack that serves signed models only
With the stack's parameter `SignatureKey`, whoever uploads `rollout.yaml` may not have the key. A policy that nobody
signed may not run code, feed text to signed code, take isolation away or switch off a check of the artifact:

| field | refused | why |
|---|---|---|
"""
_END = """
The other fields stay free: they decide when and how fast what was signed goes live, within the ranges of the schema.

A signed policy may say what is refused above, apart from `signature`: put the same `rollout.yaml` at the archive's root
before it is signed (`modeldrop package DIR --policy rollout.yaml --sign KEY.pem`), and upload both, the policy first.
The bundle then covers it, byte for byte. A roll back brings the old archive with its own signed policy: where the two
policies differ, upload the old one before `modeldrop rollback`.

`signature: {required: true}` in a policy, on a stack without the parameter, limits nothing: who wrote it can remove it.
"""
_REFUSED = {
    "artifact.code": "`allow`",
    "artifact.breaking": "`allow`",
    "gates.rehearsal": "`serverless`, `off`",
    "signature.required": "`false`",
    "signature.key": "another key",
    "signature.older": "`allow`",
}


def as_markdown() -> str:
    """The page docs/policy-limits.md."""
    variables = [f"| `{name}` | {one.text} | {one.allowed} |" for name, one in VARIABLES.items()]
    limited = [
        f"| `{path}` | {_REFUSED.get(path, 'any')} | {limit.why or 'the stack says so'} |"
        for path, limit in FIELDS.items()
        if limit is not None
    ]
    own = f"| `{ENVIRONMENT}.{APPLICATION_PREFIX}*` | any | its text goes to the container |"
    return _BEGINNING + "\n".join(variables) + "\n" + _UNSIGNED + "\n".join([*limited, own]) + "\n" + _END


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
