use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);
const DEADLINE: Timestamp = Timestamp::from_millis(1_795_362_000_000 + 86_400_000);

fn planned(job_id: &str, dependencies: &[&str]) -> PlannedJob {
    PlannedJob {
        job_id: job_id.into(),
        operation: "trim".into(),
        dependencies: dependencies.iter().map(|&name| name.into()).collect(),
    }
}

fn execution(plan: Vec<PlannedJob>) -> Execution {
    let (id, tenant) = (ExecutionId::from_i64(5), TenantId::from_i64(1));
    Execution::new(id, tenant, plan, DEADLINE, NOW).expect("a sound plan")
}

fn diamond() -> Execution {
    let plan =
        [("top", &[][..]), ("left", &["top"]), ("right", &["top"]), ("end", &["left", "right"])];
    execution(plan.iter().map(|(name, on)| planned(name, on)).collect())
}

fn said(status: JobStatus) -> JobReport {
    let url = (status == JobStatus::Completed).then(|| "https://cdn.example/x".to_owned());
    JobReport { status, url, error: None }
}

/// Reports and tells the names of what became runnable.
fn report(execution: &mut Execution, job: &str, status: JobStatus) -> Vec<String> {
    let progress = execution.report(job, said(status), NOW + 1).expect("taken").expect("news");
    *execution = progress.execution;
    progress.runnable.iter().map(|&place| execution.jobs[place].job_id.clone()).collect()
}

#[test]
fn a_diamond_runs_from_its_top_to_its_end() {
    let mut diamond = diamond();
    let waits = diamond.report("left", said(JobStatus::Completed), NOW);
    assert_eq!(waits, Err(Refusal::Waits("top".into())));
    assert_eq!(report(&mut diamond, "top", JobStatus::Completed), ["left", "right"]);
    assert!(report(&mut diamond, "right", JobStatus::Running).is_empty());
    assert!(report(&mut diamond, "right", JobStatus::Completed).is_empty());
    assert_eq!(report(&mut diamond, "left", JobStatus::Completed), ["end"]);
    assert_eq!(diamond.outcome, None);
    report(&mut diamond, "end", JobStatus::Completed);
    assert_eq!((diamond.outcome, diamond.settled_at), (Some(Outcome::Completed), Some(NOW + 1)));
    let body = String::from_utf8(diamond.body()).expect("JSON");
    assert!(body.contains(r#""rootUrl":"https://cdn.example/x""#), "{body}");
}

#[test]
fn a_failed_job_takes_along_what_waits_for_it() {
    let mut diamond = diamond();
    report(&mut diamond, "top", JobStatus::Completed);
    report(&mut diamond, "left", JobStatus::Failed);
    let end = &diamond.jobs[3];
    assert_eq!(
        (end.status, end.error.as_deref()),
        (JobStatus::Cancelled, Some("`left` is failed"))
    );
    assert_eq!(diamond.outcome, None, "the other arm still runs");
    report(&mut diamond, "right", JobStatus::Completed);
    assert_eq!(diamond.outcome, Some(Outcome::Failed));
}

#[test]
fn an_end_is_final_and_may_be_told_twice() {
    let mut diamond = diamond();
    report(&mut diamond, "top", JobStatus::Completed);
    assert_eq!(diamond.report("top", said(JobStatus::Completed), NOW), Ok(None));
    let refused = diamond.report("top", said(JobStatus::Failed), NOW);
    assert_eq!(refused, Err(Refusal::Ended(JobStatus::Completed)));
    assert_eq!(diamond.report("bottom", said(JobStatus::Failed), NOW), Err(Refusal::NoSuchJob));
}

#[test]
fn the_deadline_cancels_what_is_left() {
    let mut diamond = diamond();
    report(&mut diamond, "top", JobStatus::Completed);
    assert_eq!(diamond.expire(DEADLINE - 1), None);
    let expired = diamond.expire(DEADLINE).expect("its time is over").execution;
    assert_eq!(expired.outcome, Some(Outcome::Partial));
    assert_eq!(expired.expire(DEADLINE + 1), None);
    report(&mut diamond, "left", JobStatus::Failed);
    let expired = diamond.expire(DEADLINE).expect("its time is over").execution;
    assert_eq!(expired.outcome, Some(Outcome::Failed));
}

#[test]
fn wrong_plans_are_refused_by_name() {
    let wrong = |plan: &[(&str, &[&str])]| {
        let plan: Vec<_> = plan.iter().map(|(name, on)| planned(name, on)).collect();
        let errors = check_plan(&plan).expect_err("it is wrong");
        errors.into_iter().map(|error| (error.pointer, error.detail)).collect::<Vec<_>>()
    };
    let one = |pointer: &str, detail: &str| vec![(pointer.to_owned(), detail.to_owned())];
    assert_eq!(wrong(&[]), one("", "must have 1 to 1000 jobs"));
    assert_eq!(wrong(&[("", &[])]), one("/0/jobId", "must have 1 to 128 bytes"));
    assert_eq!(
        wrong(&[("a", &[]), ("b", &[]), ("a", &[])]),
        one("/2/jobId", "`a` is the name of job 0 already")
    );
    assert_eq!(
        wrong(&[("a", &["x", "a"]), ("b", &["a", "a"])]),
        [
            ("/0/dependencies/0".to_owned(), "`x` is no job of this plan".to_owned()),
            ("/0/dependencies/1".to_owned(), "`a` is the job itself".to_owned()),
            ("/1/dependencies/1".to_owned(), "`a` is given twice".to_owned()),
        ]
    );
    assert_eq!(
        wrong(&[("d", &["a"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"])]),
        one("/1/dependencies", "waits for itself: `a` → `c` → `b` → `a`")
    );
}

#[test]
fn a_document_holds_what_has_no_column() {
    let diamond = diamond();
    let doc = serde_json::to_string(&diamond).expect("string keys");
    let read: Execution = serde_json::from_str(&doc).expect("its own document");
    assert_eq!((read.jobs, read.deadline), (diamond.jobs, diamond.deadline));
}

/// A graph without cycles: each job waits for some of those before it, in a shuffled list.
fn graph() -> impl Strategy<Value = Vec<PlannedJob>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..12)
        .prop_map(|picks| {
            let job = |(place, picks): (usize, &Vec<prop::sample::Index>)| {
                let mut on: Vec<usize> =
                    picks.iter().filter(|_| place > 0).map(|pick| pick.index(place)).collect();
                on.sort_unstable();
                on.dedup();
                let on: Vec<String> = on.iter().map(|other| format!("job-{other}")).collect();
                let on: Vec<&str> = on.iter().map(String::as_str).collect();
                planned(&format!("job-{place}"), &on)
            };
            picks.iter().enumerate().map(job).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

proptest! {
    /// Whatever runs first and whatever fails: nothing runs before what it waits for, and the
    /// execution settles once, with the last job.
    #[test]
    fn every_order_settles_exactly_once(
        plan in graph(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..6), 12),
    ) {
        let mut execution = execution(plan);
        let mut settled = 0;
        for (pick, fate) in choices {
            let runnable: Vec<String> = execution.jobs.iter()
                .filter(|job| job.status == JobStatus::Runnable)
                .map(|job| job.job_id.clone()).collect();
            if runnable.is_empty() {
                break;
            }
            let status = match fate {
                0 => JobStatus::Failed,
                1 => JobStatus::Cancelled,
                _ => JobStatus::Completed,
            };
            let job: &String = pick.get(&runnable);
            let taken = execution.report(job, said(status), NOW);
            let progress = taken.expect("what is runnable may be reported").expect("it is news");
            let done = |&other: &u32| {
                progress.execution.jobs[other as usize].status == JobStatus::Completed
            };
            for &place in &progress.runnable {
                prop_assert!(progress.execution.jobs[place].waits_for.iter().all(done));
            }
            settled += usize::from(progress.settled());
            execution = progress.execution;
        }
        prop_assert_eq!(settled, 1);
        prop_assert!(execution.jobs.iter().all(|job| job.status.is_final()));
        let failed = execution.jobs.iter().any(|job| job.status == JobStatus::Failed);
        prop_assert_eq!(execution.outcome == Some(Outcome::Failed), failed);
        let outcome = execution.outcome.map(Outcome::as_str).unwrap_or_default();
        let body = String::from_utf8(execution.body()).expect("JSON");
        let expected = format!("\"status\":\"{outcome}\"");
        prop_assert!(body.contains(&expected), "{}", body);
        prop_assert_eq!(execution.expire(DEADLINE), None);
    }

    /// Any list of dependencies is either accepted and runs through, or refused.
    #[test]
    fn what_is_accepted_runs_through(
        on in prop::collection::vec(prop::collection::vec(0_u32..8, 0..4), 1..8),
    ) {
        let plan: Vec<PlannedJob> = on.iter().enumerate().map(|(place, on)| {
            let on: Vec<String> = on.iter().map(|other| format!("job-{other}")).collect();
            let on: Vec<&str> = on.iter().map(String::as_str).collect();
            planned(&format!("job-{place}"), &on)
        }).collect();
        if check_plan(&plan).is_err() {
            return Ok(());
        }
        let mut execution = execution(plan);
        while execution.outcome.is_none() {
            let next = execution.jobs.iter().find(|job| job.status == JobStatus::Runnable);
            let next = next.expect("something is runnable until all is done").job_id.clone();
            report(&mut execution, &next, JobStatus::Completed);
        }
        prop_assert_eq!(execution.outcome, Some(Outcome::Completed));
    }
}
