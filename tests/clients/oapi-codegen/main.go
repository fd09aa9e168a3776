// Runs a job through the client that oapi-codegen made. `run URL`, or `run URL JOB` for the answers of a later version.
package main

import (
	"context"
	"fmt"
	"os"

	"orrery.example/run/orrery"

	"github.com/google/uuid"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(holds bool, what ...any) {
	if !holds {
		panic(fmt.Sprintln(what...))
	}
}

func ptr[T any](value T) *T { return &value }

func main() {
	ctx := context.Background()
	client := must(orrery.NewClientWithResponses(os.Args[1]))
	if len(os.Args) > 2 {
		readTomorrow(ctx, client, uuid.MustParse(os.Args[2]))
		return
	}
	job := must(client.CreateJobWithResponse(ctx, &orrery.CreateJobParams{IdempotencyKey: ptr("oapi-codegen-1")}, orrery.SubmitJob{
		Name:  "oapi-codegen",
		Nodes: []orrery.Node{{Key: "a", Queue: ptr("oapi-codegen"), Input: map[string]any{"n": 1}}},
	})).JSON201
	check(job != nil, "no job")
	leased := must(client.LeaseWorkWithResponse(ctx, "oapi-codegen", nil, orrery.LeaseWork{
		Worker: "w", Max: ptr(int32(1)), WaitMs: ptr(int64(5000)),
	})).JSON200
	check(len(leased.Leases) == 1 && leased.Leases[0].Node == "a" && leased.Leases[0].JobId == job.Id, leased)
	done := must(client.CompleteLeasesWithResponse(ctx, nil, orrery.CompleteLeases{
		Items: []orrery.CompleteItem{{Lease: leased.Leases[0].Lease, Output: map[string]any{"n": 2}}},
	})).JSON200
	check(done.Results[0].Outcome == "recorded", done)
	ended := must(client.GetJobWithResponse(ctx, job.Id, nil)).JSON200
	check(ended.Status == "completed", ended)
	refused := must(client.CreateJobWithResponse(ctx, nil, orrery.SubmitJob{Nodes: []orrery.Node{}}))
	check(refused.ApplicationproblemJSON422.Code == "validation_failed", string(refused.Body))
	missing := must(client.GetJobWithResponse(ctx, uuid.MustParse("00000000-0000-7000-8000-000000000000"), nil))
	check(missing.ApplicationproblemJSON404.Status == 404, string(missing.Body))
	fmt.Println(job.Id)
}

func readTomorrow(ctx context.Context, client *orrery.ClientWithResponses, id uuid.UUID) {
	check(must(client.GetJobWithResponse(ctx, id, nil)).JSON200.Status == "of_tomorrow", "job")
	check(must(client.ListNodesWithResponse(ctx, id, nil)).JSON200.Nodes[0].Status == "of_tomorrow", "nodes")
	check(must(client.ExplainJobWithResponse(ctx, id, nil)).JSON200.Ended.Code == "of_tomorrow", "explain")
}
