import { Supervisor } from "castellan";
import { findModel } from "./model.ts";
import { summaries } from "./summaries.ts";
import { work } from "./worker.ts";

const { INBOX: inbox = "inbox", OUTBOX: outbox = "outbox" } = process.env;
const model = await findModel();
// Jobs are in .castellan/, so they survive a kill.
const supervisor = await Supervisor.start([summaries], { name: "worker", defaults: model.defaults });
// At Ctrl-C and SIGTERM, running jobs finish, for 25 seconds at the most. Jobs that wait run after the next start.
supervisor.stopOnSignals({ deadline: "25s" });
console.log(`Put texts into ${inbox}/. Their summaries appear in ${outbox}/.`);
console.log(`They come from ${model.description}.`);
const ending = new AbortController();
void supervisor.closed.then(() => ending.abort());
await work(supervisor, { inbox, outbox }, ending.signal);
await model[Symbol.asyncDispose]();
