import type { DatabasePart, Examined, Found } from "./sqlite-messages.ts";

/** Watches the files of a database in WAL mode for changes that SQLite does not notice. */
export interface SqliteWatch {
  /** Guards as `guard`, and returns the changes since the files were last known to be correct. */
  check(): Found | undefined;
  /** Reads the files. */
  examine(): Examined;
  /** Declares the files correct as they are. */
  settle(): void;
  /** The connection has just written. Returns how many frames of the log the database does not have yet. */
  written(): number;
  /** Writes a text of fixed length to a file beside the database, which outlives the process. */
  mark(text: string): void;
  /** Keeps SQLite from reading the index beyond its end, which would kill the process. */
  guard(): void;
  /** Invalidates the index, so that SQLite rebuilds it. */
  spoil(): void;
  /** Moves the contents of the log to a file beside it, so that they are not mixed with the present database. */
  saveLog(): void;
  /** Call it after the connection is closed: it drops the locks of the process. */
  close(): void;
}

/**
 * Returns a function that watches files in the thread that has them open. The thread receives the source of this
 * function, so it may use only its parameters.
 *
 * It compares the index, which connections share as memory, byte by byte, because no timestamp tells when it was
 * written. It ignores the part that readers write.
 *
 * @param checkpointFrames from this number of frames on, SQLite copies the log into the database after each commit. On a
 * full disk it stops midway
 */
export function watching(fs: typeof import("node:fs"), checkpointFrames: number): (path: string) => SqliteWatch {
  /** Positions in the index: how many frames the database already has, and what readers write after that. */
  const BACKFILLED = 96;
  const READERS = { from: 100, to: 136 };
  const HEADERS = 96;
  const FRAMES = { from: 16, to: 20 };
  const SALTS = { from: 32, to: 40 };

  interface Stamp {
    readonly size: number;
    readonly mtimeMs: number;
  }

  return (path) => {
    const parts: DatabasePart[] = ["", "-wal", "-shm"];
    const files = parts.map((part) => ({ part, fd: fs.openSync(path + part, part === "" ? "r" : "r+") }));
    const [databaseFd, logFd, indexFd] = files.map(({ fd }) => fd) as [number, number, number];
    const ids = files.map(({ fd }) => fs.fstatSync(fd));
    /** Holds the index that was read last. The one that is known is in another. */
    let buffer = Buffer.alloc(0);
    let spare = Buffer.alloc(0);
    let known: { readonly shm: Buffer; readonly stamps: readonly Stamp[] } = { shm: buffer, stamps: [] };
    let largest = 0;
    let marks: number | undefined;
    learn(readIndex(), stampsOfAll());

    function readAll(fd: number): Buffer {
      const content = Buffer.alloc(fs.fstatSync(fd).size);
      let length = 0;
      for (;;) {
        const read = fs.readSync(fd, content, length, content.length - length, length);
        if (read === 0) return content.subarray(0, length);
        length += read;
      }
    }

    /** Returns the index until the next call. */
    function readIndex(): Buffer {
      for (;;) {
        const length = fs.readSync(indexFd, buffer, 0, buffer.length, 0);
        if (length < buffer.length) {
          return buffer.subarray(0, length).fill(0, Math.min(READERS.from, length), Math.min(READERS.to, length));
        }
        buffer = Buffer.alloc(fs.fstatSync(indexFd).size + 1);
      }
    }

    /** Remembers the index that was just read as correct, with the other files. */
    function learn(shm: Buffer, stamps: readonly Stamp[]): void {
      [buffer, spare] = [spare, buffer];
      known = { shm, stamps };
      largest = Math.max(largest, shm.length);
    }

    function stampsOfAll(): Stamp[] {
      return [databaseFd, logFd].map((fd) => fs.fstatSync(fd));
    }

    function stampOf(part: DatabasePart): Stamp {
      return known.stamps[parts.indexOf(part)] ?? { size: -1, mtimeMs: -1 };
    }

    function isGone(index: number, there: Stamp & { readonly dev: number; readonly ino: number }): boolean {
      if (there.dev === ids[index]?.dev && there.ino === ids[index]?.ino) return false;
      // Some file systems renumber their files now and then.
      const now = fs.fstatSync(files[index]?.fd ?? -1);
      if (now.dev !== there.dev || now.ino !== there.ino) return true;
      ids[index] = now;
      return false;
    }

    function check(): Found | undefined {
      const shm = readIndex();
      if (shm.length < largest) spoil();
      const gone: { [Part in DatabasePart]?: "deleted" | "replaced" } = {};
      const changed: DatabasePart[] = [];
      for (const [index, part] of parts.entries()) {
        const there = fs.statSync(path + part, { throwIfNoEntry: false });
        if (there === undefined) gone[part] = "deleted";
        else if (isGone(index, there)) gone[part] = "replaced";
        else if (part !== "-shm") {
          const stamp = stampOf(part);
          if (there.size !== stamp.size || there.mtimeMs !== stamp.mtimeMs) changed.push(part);
        }
      }
      if (!shm.equals(known.shm)) changed.push("-shm");
      return changed.length === 0 && Object.keys(gone).length === 0 ? undefined : { gone, changed };
    }

    /** How the index has changed: the log was restarted, was copied further into the database, or has grown. */
    function changeOf(before: Buffer, after: Buffer): "restarted" | "backfilled" | "appended" | "other" {
      const differ = (from: number, to: number): boolean => !before.subarray(from, to).equals(after.subarray(from, to));
      if (differ(SALTS.from, SALTS.to)) return "restarted";
      if (differ(BACKFILLED, READERS.from)) return "backfilled";
      return differ(FRAMES.from, FRAMES.to) ? "appended" : "other";
    }

    /** Returns a number of the index, which has the machine's byte order. */
    function numberAt(index: Buffer, at: number): number {
      return new Uint32Array(new Uint8Array(index.subarray(at, at + 4)).buffer)[0] ?? 0;
    }

    function framesIn(index: Buffer): number {
      return numberAt(index, FRAMES.from);
    }

    /** Whether the connection's write included a checkpoint, which alone writes to the database itself. */
    function isCheckpointed(before: Buffer, after: Buffer): boolean {
      const change = changeOf(before, after);
      return change === "appended" ? framesIn(after) >= checkpointFrames : change !== "other";
    }

    function spoil(): void {
      if (fs.fstatSync(indexFd).size < largest) fs.ftruncateSync(indexFd, largest);
      fs.writeSync(indexFd, new Uint8Array(HEADERS), 0, HEADERS, 0);
    }

    return {
      check,
      examine() {
        const [now, before] = [fs.fstatSync(databaseFd), stampOf("")];
        const databaseChanged = now.size !== before.size || now.mtimeMs !== before.mtimeMs;
        const shm = readIndex();
        const change = changeOf(known.shm, shm);
        const copy = (index: Uint8Array): Uint8Array => new Uint8Array(index);
        return {
          database: `${now.size} ${now.mtimeMs}`,
          wal: copy(readAll(logFd)),
          shm: copy(shm),
          overwritten: databaseChanged && change === "other",
          forged: !databaseChanged && change === "backfilled",
        };
      },
      settle() {
        learn(readIndex(), stampsOfAll());
      },
      written() {
        const shm = readIndex();
        const database = isCheckpointed(known.shm, shm) ? fs.fstatSync(databaseFd) : stampOf("");
        learn(shm, [database, fs.fstatSync(logFd)]);
        return Math.max(0, framesIn(shm) - numberAt(shm, BACKFILLED));
      },
      mark(text) {
        try {
          marks ??= fs.openSync(`${path}-written`, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
          fs.writeSync(marks, text, 0);
        } catch {
          // The next start knows less; the journal itself is fine.
        }
      },
      guard() {
        if (fs.fstatSync(indexFd).size < largest) spoil();
      },
      spoil,
      saveLog() {
        fs.writeFileSync(`${path}-wal-saved`, readAll(logFd), { mode: 0o600 });
        fs.ftruncateSync(logFd, 0);
        spoil();
      },
      close() {
        for (const { fd } of files) fs.closeSync(fd);
        if (marks !== undefined) fs.closeSync(marks);
      },
    };
  };
}
