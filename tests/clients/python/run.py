"""Runs a job through the client that openapi-python-client made: submit, lease, complete, read; bad input; a missing job.

`run.py URL`: against an engine. `run.py URL JOB`: reads the answers of a later version, which a generated client must survive.
"""

import json
import sys

from orrery_client import Client
from orrery_client.api.jobs import create_job, explain_job, get_job
from orrery_client.api.leases import complete_leases, lease_work
from orrery_client.api.nodes import list_nodes
from orrery_client.models import CompleteItem, CompleteLeases, LeaseWork, Problem, SubmitJob
from orrery_client.models import Node as NodeOfSubmission


def run(client: Client) -> None:
    job = create_job.sync(
        client=client,
        body=SubmitJob(name="python", nodes=[NodeOfSubmission(key="a", queue="python", input_={"n": 1})]),
        idempotency_key="python-1",
    )
    assert not isinstance(job, Problem), job
    leased = lease_work.sync("python", client=client, body=LeaseWork(worker="w", max_=1, wait_ms=5000))
    lease = leased.leases[0]
    assert lease.node == "a" and lease.job_id == job.id, lease
    done = complete_leases.sync(
        client=client, body=CompleteLeases(items=[CompleteItem(lease=lease.lease, output={"n": 2})])
    )
    assert done.results[0].outcome == "recorded", done
    ended = get_job.sync(job.id, client=client)
    assert ended.status == "completed" and ended.progress.percent == 100.0, ended
    refused = create_job.sync(client=client, body=SubmitJob(name="", nodes=[]))
    assert isinstance(refused, Problem) and refused.code == "validation_failed", refused
    missing = get_job.sync("00000000-0000-7000-8000-000000000000", client=client)
    assert isinstance(missing, Problem) and missing.status == 404, missing
    print(job.id)


def read_tomorrow(client: Client, job: str) -> None:
    assert get_job.sync(job, client=client).status == "of_tomorrow"
    assert list_nodes.sync(job, client=client).nodes[0].status == "of_tomorrow"
    assert explain_job.sync(job, client=client).ended.code == "of_tomorrow"


if __name__ == "__main__":
    client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
    run(client) if len(sys.argv) == 2 else read_tomorrow(client, sys.argv[2])
