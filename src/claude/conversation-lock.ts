import { link, mkdir, readFile, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isAlive, type Owner, ownerOf, thisOwner } from "./marker.ts";

/** Beside Claude Code's own files, since it is their transcripts that have one writer. */
const FOLDER = "castellan-locks";

/** How often a lock that changes hands meanwhile is tried for, and how long is waited for another one who takes it over. */
const TRIES = 5;
const PAUSE_MS = 5;

/** After how long whoever takes a lock over must have died over it. It takes a millisecond. */
const ABANDONED_MS = 5_000;

/** A conversation that another application of this machine writes to. */
export class ConversationInUse extends Error {
  override readonly name: string = "ConversationInUse";

  /** Without an owner, several want it at this moment. */
  constructor(id: string, owner?: Owner) {
    super(
      `the conversation ${id} is in use by another application${owner === undefined ? "" : `, process ${owner.pid}`}`,
    );
  }
}

/** A conversation that no other application of this machine may write to. */
export interface ConversationLock {
  /** Gives it up; does nothing the second time. */
  release(): Promise<void>;
}

/**
 * Makes a conversation this application's, as far as the transcripts in this directory of Claude Code's own go. Within an
 * application it is the sessions that see to it that each has a conversation of its own; this is for two that know nothing of
 * each other.
 *
 * The file names its owner by pid and start time. One whose owner is not proven to be alive is taken over; only Linux proves it.
 *
 * @param marker of the activation that is about to write to it
 * @throws ConversationInUse
 */
export async function lockConversation(id: string, marker: string, config: string): Promise<ConversationLock> {
  const path = join(config, FOLDER, id);
  try {
    for (const folder of [config, dirname(path)]) await makeFolder(folder);
    for (let tries = 0; tries < TRIES; tries++) {
      if (await put(path, marker)) return { release: () => remove(path, marker) };
      await takeOver(path, id);
    }
    throw new ConversationInUse(id);
  } catch (error) {
    if (error instanceof ConversationInUse) throw error;
    // Where nothing can be written, Claude Code cannot write a transcript either.
  }
  return { release: async () => {} };
}

/** Not with all that is above it: where that is not there, Claude Code has never been. */
async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (!isExisting(error)) throw error;
  });
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}

/** Whether there was no such file. It appears with all that it says, or not at all. */
async function put(path: string, marker: string): Promise<boolean> {
  const draft = asideOf(path, marker);
  await writeFile(draft, marker, { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isExisting(error)) return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/** Takes the file away if its owner is gone. @throws ConversationInUse if it is not */
async function takeOver(path: string, id: string): Promise<void> {
  const found = await readFile(path, "utf8").catch(() => undefined);
  const owner = found === undefined ? undefined : ownerOf(found);
  if (owner !== undefined && isAnother(owner) && isAlive(owner)) throw new ConversationInUse(id, owner);
  // One at a time, so that nobody takes away what another one, who was faster, has put there.
  const turn = `${path}.taking`;
  try {
    await mkdir(turn);
  } catch (error) {
    if (!isExisting(error)) throw error;
    await awaitTurn(turn);
    return;
  }
  try {
    if ((await readFile(path, "utf8").catch(() => undefined)) === found) await unlink(path).catch(() => {});
  } finally {
    await rmdir(turn).catch(() => {});
  }
}

/** Waits a moment for who takes a lock over, and takes away what one who died over it has left. */
async function awaitTurn(turn: string): Promise<void> {
  const since = await stat(turn).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (since !== undefined && Date.now() - since > ABANDONED_MS) await rmdir(turn).catch(() => {});
  else await delay(PAUSE_MS);
}

async function remove(path: string, marker: string): Promise<void> {
  if ((await readFile(path, "utf8").catch(() => undefined)) === marker) await unlink(path).catch(() => {});
}

/** Whether it is another process, of which it can be told whether it lives. */
function isAnother({ namespace, pid, startTime }: Owner): boolean {
  const self = thisOwner();
  return self.namespace === namespace && !(self.pid === pid && self.startTime === startTime);
}

function asideOf(path: string, marker: string): string {
  return `${path}.${marker.replaceAll("/", "-")}`;
}
