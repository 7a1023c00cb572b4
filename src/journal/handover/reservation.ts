import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { type Clock, pause } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { Journal } from "../model/journal.ts";
import { type FileLock, fileLocks, lockHolderOf } from "../sqlite/file-lock.ts";
import { reservationPathOf } from "./place.ts";

/** Keeps a journal that is handed over from all but its taker. */
export interface Reservations {
  /** See {@link reserve}. */
  reserve(): Promise<Pick<FileLock, "close"> | undefined>;
  /** See {@link reservationOf}. */
  held(): Promise<CastellanError<"JOURNAL_IN_USE"> | undefined>;
}

/** Returns the reservations of a journal by locks of a file. */
export function fileReservations(own: Journal, clock: Clock): Reservations {
  return { reserve: () => reserve(own, clock), held: () => reservationOf(own, clock) };
}

/** How often to try again while another application looks at the reservation, and the interval in milliseconds. */
const TRIES = 20;
const RETRY_MS = 10;

/** How often to find the reservation locked before it counts as one: another application may only look at it. */
const LOOKS = 3;

/**
 * Reserves a journal that its owner is about to close for the application to which it is offered. Others on this machine that
 * find it without an owner must leave it. The kernel ends the reservation with the process.
 *
 * @returns undefined if that is impossible now
 */
async function reserve(own: Journal, clock: Clock): Promise<FileLock | undefined> {
  const path = reservationPathOf(own);
  if (path === undefined) return undefined;
  const tryLock = await fileLocks();
  for (let tries = TRIES; tries > 0; tries--) {
    const lock = tryLock(path);
    if (lock !== undefined) return lock;
    await pause(clock, RETRY_MS);
  }
  return undefined;
}

/**
 * Returns why this application must leave a journal that has no owner now; undefined if nobody has reserved it. Decides only
 * if it is called while this application owns the journal: the reservation begins before the former owner closes it.
 */
async function reservationOf(own: Journal, clock: Clock): Promise<CastellanError<"JOURNAL_IN_USE"> | undefined> {
  const path = reservationPathOf(own);
  if (path === undefined || !existsSync(path)) return undefined;
  const tryLock = await fileLocks();
  for (let looks = 1; ; looks++) {
    const lock = tryLock(path);
    lock?.close();
    if (lock !== undefined) return undefined;
    if (looks === LOOKS) return handedOver(own.location, lockHolderOf(path));
    await pause(clock, RETRY_MS);
  }
}

function handedOver(location: string, pid = 0): CastellanError<"JOURNAL_IN_USE"> {
  const by = pid === 0 ? "A process" : `Process ${pid}`;
  const message = `${by} is handing the journal ${location} over to the next process of its application. Try again, or let this application wait with \`waitForOwner\`.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid, host: hostname(), startedAt: 0 } });
}
