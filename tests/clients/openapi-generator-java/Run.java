// Runs a job through the Java client that openapi-generator made. `Run URL`, or `Run URL JOB` for the answers of a later
// version.

import java.util.List;
import java.util.Map;
import java.util.UUID;
import orrery.ApiClient;
import orrery.ApiException;
import orrery.api.JobsApi;
import orrery.api.LeasesApi;
import orrery.api.NodesApi;
import orrery.model.CompleteItem;
import orrery.model.CompleteLeases;
import orrery.model.Lease;
import orrery.model.LeaseWork;
import orrery.model.Node;
import orrery.model.SubmitJob;

public class Run {
    private static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(String.valueOf(what));
        }
    }

    public static void main(String[] args) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(args[0]);
        JobsApi jobs = new JobsApi(client);
        if (args.length > 1) {
            readTomorrow(jobs, new NodesApi(client), UUID.fromString(args[1]));
            return;
        }
        LeasesApi leases = new LeasesApi(client);
        Node node = new Node().key("a").queue("openapi-generator-java").input(Map.of("n", 1));
        SubmitJob submit = new SubmitJob().name("openapi-generator-java").nodes(List.of(node));
        var job = jobs.createJob(submit, null, null, null, null, "openapi-generator-java-1");
        LeaseWork work = new LeaseWork().worker("w").max(1).waitMs(5000L);
        var leased = leases.leaseWork("openapi-generator-java", work, null, null, null);
        Lease lease = leased.getLeases().get(0);
        check(lease.getNode().equals("a") && lease.getJobId().equals(job.getId()), lease);
        CompleteItem item = new CompleteItem().lease(lease.getLease()).output(Map.of("n", 2));
        var done = leases.completeLeases(new CompleteLeases().items(List.of(item)), null, null);
        check(done.getResults().get(0).getOutcome().equals("recorded"), done);
        var ended = jobs.getJob(job.getId(), null, null, null, null);
        check(ended.getStatus().equals("completed"), ended);
        try {
            jobs.createJob(new SubmitJob().name("").nodes(List.of()), null, null, null, null, null);
            check(false, "taken");
        } catch (ApiException refused) {
            check(refused.getCode() == 422 && refused.getResponseBody().contains("validation_failed"), refused);
        }
        try {
            jobs.getJob(UUID.fromString("00000000-0000-7000-8000-000000000000"), null, null, null, null);
            check(false, "found");
        } catch (ApiException missing) {
            check(missing.getCode() == 404, missing);
        }
        System.out.println(job.getId());
    }

    private static void readTomorrow(JobsApi jobs, NodesApi nodes, UUID id) throws ApiException {
        check(jobs.getJob(id, null, null, null, null).getStatus().equals("of_tomorrow"), "job");
        var explained = jobs.explainJob(id, null, null);
        check(explained.getEnded().getCode().equals("of_tomorrow"), explained);
    }
}
