import { Worker } from "node:worker_threads";

/** How long somebody else who reads, or writes by hand, is waited for, in milliseconds. */
const BUSY_MS = 2_000;

/** What is left of the write-ahead log: `busy` if somebody still reads in it, so that it could not be emptied. */
interface Rewritten {
  readonly busy: number;
}

type Answer = { readonly rewritten: Rewritten } | { readonly message: string; readonly errcode?: number };

/*
 * A text, so that there is no file of its own that a bundle would have to carry. `VACUUM` copies all that counts into fresh pages;
 * the checkpoint brings them into the file and empties the write-ahead log.
 */
const WORK = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { DatabaseSync } = require("node:sqlite");
  try {
    const database = new DatabaseSync(workerData.path, { timeout: workerData.busyMs });
    try {
      database.exec("VACUUM");
      parentPort.postMessage({ rewritten: database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() });
    } finally {
      database.close();
    }
  } catch (error) {
    parentPort.postMessage({ message: error.message, errcode: error.errcode });
  }
`;

/**
 * Writes a SQLite file anew, so that nothing stands in it, or in its write-ahead log, but what it says by now. `secure_delete` is not
 * enough for that: when SQLite moves rows from one page to another it leaves their bytes where they were.
 *
 * It takes as long as a copy of the file, in a thread of its own. Nobody in this process may write to the file meanwhile.
 *
 * @throws Error with the `errcode` of SQLite
 */
export async function rewrite(path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const worker = new Worker(WORK, {
    eval: true,
    workerData: { path, busyMs: BUSY_MS },
    // Early releases of Node 24 warn of `node:sqlite` in each thread.
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.once("exit", (code) => reject(new Error(`the thread that rewrites it ended with code ${code}`)));
  const answer = await promise;
  if (!("rewritten" in answer)) throw Object.assign(new Error(answer.message), { errcode: answer.errcode });
  if (answer.rewritten.busy !== 0) {
    throw new Error("another program reads it, so that what was removed is still in its write-ahead log");
  }
}
