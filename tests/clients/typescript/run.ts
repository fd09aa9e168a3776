// Runs a job through openapi-fetch with the types that openapi-typescript made. `run.js URL`, or `run.js URL JOB` for
// the answers of a later version.
import assert from "node:assert";
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [baseUrl, known] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl });

async function run(): Promise<void> {
  const { data: job } = await client.POST("/api/v1/jobs", {
    params: { header: { "Idempotency-Key": "typescript-1" } },
    body: { name: "typescript", nodes: [{ key: "a", queue: "typescript", input: { n: 1 } }] },
  });
  assert(job);
  const { data: leased } = await client.POST("/api/v1/queues/{queue}/lease", {
    params: { path: { queue: "typescript" } },
    body: { worker: "w", max: 1, wait_ms: 5000 },
  });
  const lease = leased?.leases[0];
  assert(lease && lease.node === "a" && lease.job_id === job.id);
  const { data: done } = await client.POST("/api/v1/leases/complete", {
    body: { items: [{ lease: lease.lease, output: { n: 2 } }] },
  });
  assert.equal(done?.results[0]?.outcome, "recorded");
  const { data: ended } = await client.GET("/api/v1/jobs/{id}", { params: { path: { id: job.id } } });
  assert.equal(ended?.status, "completed");
  const refused = await client.POST("/api/v1/jobs", { body: { name: "", nodes: [] } });
  assert.equal(refused.error?.code, "validation_failed");
  const id = "00000000-0000-7000-8000-000000000000";
  const missing = await client.GET("/api/v1/jobs/{id}", { params: { path: { id } } });
  assert.equal(missing.error?.status, 404);
  console.log(job.id);
}

async function readTomorrow(id: string): Promise<void> {
  const params = { path: { id } };
  const { data: job } = await client.GET("/api/v1/jobs/{id}", { params });
  assert.equal(job?.status, "of_tomorrow");
  const { data: explained } = await client.GET("/api/v1/jobs/{id}/explain", { params });
  assert.equal(explained?.ended?.code, "of_tomorrow");
}

await (known === undefined ? run() : readTomorrow(known));
