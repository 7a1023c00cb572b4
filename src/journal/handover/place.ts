import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Journal, JournalOwner } from "../model/journal.ts";

/** The longest path of a unix socket, in bytes, on the platform that allows the least. */
const LONGEST_PATH = 103;

/** The part of an owner that other applications on the machine know. */
export type OwnerPlace = Pick<JournalOwner, "pid" | "startedAt">;

/**
 * Returns the path of the unix socket by which an owner hands a journal over. It is in a folder that only its user can
 * open: beside a SQLite file, or, for a database or a long path, among the temporary files. Undefined if there can be none.
 */
export function socketOf(
  { kind, location }: Pick<Journal, "kind" | "location">,
  owner: OwnerPlace,
): string | undefined {
  const uid = process.getuid?.();
  if (uid === undefined || (kind !== "sqlite" && kind !== "postgres")) return undefined;
  const file = fileOf(owner);
  if (kind === "sqlite") {
    const beside = join(dirname(location), `${basename(location)}-handover`, file);
    if (Buffer.byteLength(beside) <= LONGEST_PATH) return beside;
  }
  const path = temporaryPath(uid, location, file);
  return Buffer.byteLength(path) <= LONGEST_PATH ? path : undefined;
}

/**
 * Returns the path of the file that is locked while a journal without an owner is reserved. Undefined if there can be none: among the
 * temporary files, another user may have made the folder, and would keep the journal from everybody by a lock.
 */
export function reservationPathOf({ kind, location }: Pick<Journal, "kind" | "location">): string | undefined {
  if (kind === "sqlite") return `${location}-reserved`;
  const uid = process.getuid?.();
  if (uid === undefined || kind !== "postgres") return undefined;
  const path = temporaryPath(uid, location, "reserved");
  return isPrivate(path) ? path : undefined;
}

function temporaryPath(uid: number, location: string, file: string): string {
  const hash = createHash("sha256").update(location).digest("hex").slice(0, 16);
  return join(tmpdir(), `castellan-${uid}`, `${hash}-${file}`);
}

/** Returns the other owners of the journal whose sockets are left, dead or alive. */
export function listenersOf(journal: Pick<Journal, "kind" | "location">, own: OwnerPlace): readonly OwnerPlace[] {
  const path = socketOf(journal, own);
  if (path === undefined || !isPrivate(path)) return [];
  const file = basename(path);
  const prefix = file.slice(0, file.length - fileOf(own).length);
  return readdirSync(dirname(path)).flatMap((name) => {
    if (name === file || !name.startsWith(prefix)) return [];
    const [, pid, startedAt = ""] = /^(\d+)-([0-9a-z]+)$/.exec(name.slice(prefix.length)) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), startedAt: Number.parseInt(startedAt, 36) }];
  });
}

function fileOf({ pid, startedAt }: OwnerPlace): string {
  return `${pid}-${startedAt.toString(36)}`;
}

/** Makes the folder of a socket. Returns whether only this user can open it. */
export function makePrivate(socket: string): boolean {
  const folder = dirname(socket);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) return false;
  }
  return isPrivate(socket);
}

/** Whether only this user can open the folder of a file. Anybody may have made it among the temporary files. */
export function isPrivate(file: string): boolean {
  const found = lstatSync(dirname(file), { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
}

/** Removes the folder of a socket, unless it has others. */
export function removeFolder(socket: string): void {
  try {
    rmdirSync(dirname(socket));
  } catch {
    // Another owner's socket is in it.
  }
}
