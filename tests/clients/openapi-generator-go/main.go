// Runs a job through the Go client that openapi-generator made. `run URL`, or `run URL JOB` for the answers of a later
// version.
package main

import (
	"context"
	"fmt"
	"os"

	"orrery.example/run/orrery"
)

func check(holds bool, what ...any) {
	if !holds {
		panic(fmt.Sprintln(what...))
	}
}

func main() {
	ctx := context.Background()
	settings := orrery.NewConfiguration()
	settings.Servers = orrery.ServerConfigurations{{URL: os.Args[1]}}
	client := orrery.NewAPIClient(settings)
	if len(os.Args) > 2 {
		readTomorrow(ctx, client, os.Args[2])
		return
	}
	node := orrery.NewNode("a")
	node.SetQueue("openapi-generator-go")
	node.SetInput(map[string]any{"n": 1})
	submit := *orrery.NewSubmitJob("openapi-generator-go", []orrery.Node{*node})
	job, _, err := client.JobsAPI.CreateJob(ctx).SubmitJob(submit).IdempotencyKey("openapi-generator-go-1").Execute()
	check(err == nil, err)
	work := orrery.NewLeaseWork("w")
	work.SetMax(1)
	work.SetWaitMs(5000)
	leased, _, err := client.LeasesAPI.LeaseWork(ctx, "openapi-generator-go").LeaseWork(*work).Execute()
	check(err == nil, err)
	lease := leased.Leases[0]
	check(lease.Node == "a" && lease.JobId == job.Id, lease)
	item := orrery.NewCompleteItem(lease.Lease)
	item.SetOutput(map[string]any{"n": 2})
	report := *orrery.NewCompleteLeases([]orrery.CompleteItem{*item})
	done, _, err := client.LeasesAPI.CompleteLeases(ctx).CompleteLeases(report).Execute()
	check(err == nil && done.Results[0].Outcome == "recorded", err, done)
	ended, _, err := client.JobsAPI.GetJob(ctx, job.Id).Execute()
	check(err == nil && ended.Status == "completed", err, ended)
	_, answer, err := client.JobsAPI.CreateJob(ctx).SubmitJob(*orrery.NewSubmitJob("", []orrery.Node{})).Execute()
	check(err != nil && answer.StatusCode == 422, err, answer)
	problem, ok := err.(*orrery.GenericOpenAPIError).Model().(orrery.Problem)
	check(ok && problem.Code == "validation_failed", err)
	_, answer, err = client.JobsAPI.GetJob(ctx, "00000000-0000-7000-8000-000000000000").Execute()
	check(err != nil && answer.StatusCode == 404, err, answer)
	fmt.Println(job.Id)
}

func readTomorrow(ctx context.Context, client *orrery.APIClient, id string) {
	job, _, err := client.JobsAPI.GetJob(ctx, id).Execute()
	check(err == nil && job.Status == "of_tomorrow", err, job)
	nodes, _, err := client.NodesAPI.ListNodes(ctx, id).Execute()
	check(err == nil && nodes.Nodes[0].Status == "of_tomorrow", err, nodes)
	explained, _, err := client.JobsAPI.ExplainJob(ctx, id).Execute()
	check(err == nil && explained.GetEnded().Code == "of_tomorrow", err, explained)
}
