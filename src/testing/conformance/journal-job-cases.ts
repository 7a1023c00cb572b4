import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import { type JournalCases, job, turn, UNUSUAL } from "./journal-case.ts";

/** The cases about jobs. */
export const JOB_CASES: JournalCases = {
  "keeps jobs in the order of their first writes, until they are dropped": async ({ journal, write, reopen }) => {
    const jobs = [
      job("j2", { dueAt: 5, promptKind: "typed", terms: { priority: 3, every: { cron: "0 9 * * *" } } }),
      job("j1", { dueAt: 2.5, createdAt: 7 }),
      job("j3", { dueAt: 9 }),
    ];
    await write(...jobs.map((one): Change => ({ type: "job_saved", job: one })));
    await write({ type: "job_saved", job: job("other", { session: '"b"' }) });
    await reopen();
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), jobs);
    deepEqual(await journal.job("j2"), jobs[0]);
    await write({ type: "job_dropped", job: "j1" }, { type: "job_dropped", job: "unknown" });
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), [jobs[0], jobs[2]]);
    equal(await journal.job("j1"), undefined);
    deepEqual(await Array.fromAsync(journal.jobs("unknown")), []);
  },

  "replaces a job, which keeps its place": async ({ journal, write }) => {
    await write({ type: "job_saved", job: job("j1") }, { type: "job_saved", job: job("j2") });
    const later = job("j1", { dueAt: 99, prompt: "another", promptKind: "typed", terms: { runs: 1 } });
    await write({ type: "job_saved", job: later });
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), [later, job("j2")]);
    await write({ type: "job_saved", job: job("j1") });
    deepEqual(await journal.job("j1"), job("j1"));
    await write({ type: "job_dropped", job: "j1" }, { type: "job_saved", job: job("j1") });
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), [job("j2"), job("j1")]);
  },

  "adds a job only if there is none with its id": async ({ journal, write, reopen }) => {
    await write({ type: "job_added", job: job("j1") });
    await write({ type: "job_added", job: job("j1", { prompt: "another" }) }, { type: "job_added", job: job("j2") });
    await reopen();
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), [job("j1"), job("j2")]);
    await write({ type: "job_dropped", job: "j1" }, { type: "job_added", job: job("j1", { dueAt: 4 }) });
    deepEqual(await journal.job("j1"), job("j1", { dueAt: 4 }));
  },

  "replaces a job by a turn of the same id in one batch": async ({ journal, write }) => {
    await write({ type: "job_saved", job: job("j1") });
    await write({ type: "job_dropped", job: "j1" }, { type: "turn_accepted", turn: turn("j1") });
    equal(await journal.job("j1"), undefined);
    equal((await journal.turn("j1"))?.state, "queued");
  },

  "finds sessions with due jobs by key prefix, in order": async ({ journal, write }) => {
    const keys = ['["user",2]', '"user"', '["user",10]', '["users",1]', '["us%r",1]'];
    await write(...keys.map((key, n): Change => ({ type: "job_saved", job: job(key, { session: key, dueAt: n }) })));
    await write({ type: "job_saved", job: job("later", { session: '["user",2]', dueAt: 50 }) });
    const due = (prefix: string, until: number): Promise<string[]> => journal.dueBeginning(prefix, until);
    deepEqual(await due('["user",', 10), ['["user",10]', '["user",2]']);
    deepEqual(await due('["user",', 1.5), ['["user",2]']);
    deepEqual(await due('["us%', 4), ['["us%r",1]']);
    deepEqual(await due("", 4), keys.toSorted());
    deepEqual(await due("", -1), []);
    await write({ type: "job_dropped", job: '["user",2]' });
    deepEqual(await due('["user",2', 49), []);
    deepEqual(await due('["user",2', 50), ['["user",2]']);
  },

  "forgets and erases the jobs of a session with it": async ({ journal, write }) => {
    const jobs = ["a", "b", "c"].map((key) => job(key, { session: `"${key}"` }));
    await write(...jobs.map((one): Change => ({ type: "job_saved", job: one })));
    const records = await Array.fromAsync(journal.records('"a"'));
    deepEqual(records, [{ type: "job", job: jobs[0] }]);
    await write({ type: "session_forgotten", session: '"a"' });
    await write({ type: "session_erased", session: '"b"', as: '"gone"' });
    deepEqual(await journal.dueBeginning("", 99), ['"c"']);
    deepEqual(
      [await journal.job("a"), await journal.job("b"), await journal.job("c")],
      [undefined, undefined, jobs[2]],
    );
  },

  "keeps unusual texts of jobs, and many jobs": async ({ journal, write }) => {
    const unusual = job(UNUSUAL, { session: UNUSUAL, prompt: UNUSUAL, terms: { [UNUSUAL]: UNUSUAL } });
    await write({ type: "job_saved", job: unusual });
    deepEqual(await Array.fromAsync(journal.jobs(UNUSUAL)), [unusual]);
    deepEqual(await journal.dueBeginning(UNUSUAL, 99), [UNUSUAL]);
    const many = Array.from({ length: 130 }, (_, n) => job(`job ${n}`));
    await write(...many.map((one): Change => ({ type: "job_saved", job: one })));
    deepEqual(await Array.fromAsync(journal.jobs('"a"')), many);
  },
};
