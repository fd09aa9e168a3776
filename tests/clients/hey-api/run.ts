// Runs a job through the client that hey-api made. `run.ts URL`, or `run.ts URL JOB` for the answers of a later version.
import assert from "node:assert";
import { client } from "./client/client.gen";
import { completeLeases, createJob, explainJob, getJob, leaseWork } from "./client/sdk.gen";

const [baseUrl, known] = process.argv.slice(2);
client.setConfig({ baseUrl });

async function run(): Promise<void> {
  const { data: job } = await createJob({
    headers: { "Idempotency-Key": "hey-api-1" },
    body: { name: "hey-api", nodes: [{ key: "a", queue: "hey-api", input: { n: 1 } }] },
  });
  assert(job);
  const { data: leased } = await leaseWork({
    path: { queue: "hey-api" },
    body: { worker: "w", max: 1, wait_ms: 5000 },
  });
  const lease = leased?.leases[0];
  assert(lease && lease.node === "a" && lease.job_id === job.id);
  const { data: done } = await completeLeases({ body: { items: [{ lease: lease.lease, output: { n: 2 } }] } });
  assert.equal(done?.results[0]?.outcome, "recorded");
  const { data: ended } = await getJob({ path: { id: job.id } });
  assert.equal(ended?.status, "completed");
  const refused = await createJob({ body: { name: "", nodes: [] } });
  assert.equal(refused.error?.code, "validation_failed");
  const missing = await getJob({ path: { id: "00000000-0000-7000-8000-000000000000" } });
  assert.equal(missing.error?.status, 404);
  console.log(job.id);
}

async function readTomorrow(id: string): Promise<void> {
  const { data: job } = await getJob({ path: { id } });
  assert.equal(job?.status, "of_tomorrow");
  const { data: explained } = await explainJob({ path: { id } });
  assert.equal(explained?.ended?.code, "of_tomorrow");
}

await (known === undefined ? run() : readTomorrow(known));
