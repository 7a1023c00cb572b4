import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { HandoverProcess } from "../application/handover-process.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

const waitForOwner = "20s";

async function inFile(): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), "handover-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { sqlite: join(folder, "castellan.db"), waitForOwner };
}

async function inDatabase(): Promise<object> {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const { postgres, schema } = server.fresh();
  return { postgres, schema, waitForOwner };
}

describe("Supervisor: the next process of an application takes over", { timeout: 60_000 }, () => {
  test.each([
    ["a SQLite file", inFile],
    ["PostgreSQL", inDatabase],
  ])(
    "with %s, while a turn runs in the old process, which writes its end through the new one",
    async (_, journalOf) => {
      const journal = await journalOf();
      await using old = new HandoverProcess("old", journal);
      await old.said({ ready: "old" });
      expect(await old.does("query", "two", "hi")).toBe("old: hi");
      void old.does("events", "one");
      const long = old.does("query", "one", "wait for it");
      await old.said({ began: "wait for it" });
      const behind = old.does("query", "one", "next");

      await using next = new HandoverProcess("new", journal);
      await next.said({ ready: "new" });
      expect(await next.does("query", "two", "hello")).toBe("new: hello");
      // The old process passes on what it is asked.
      expect(await old.does("query", "two", "and from here")).toBe("new: and from here");
      expect(await old.does("query", ["user", 1], "a new one")).toBe("new: a new one");
      const queued = next.does("query", "one", "queued there");
      await old.does("go");
      expect(await long).toBe("old: wait for it");
      expect(await behind).toBe("new: next");
      expect(await queued).toBe("new: queued there");
      await old.said({ handedOver: true });
      // A reader in the old process goes on in the new one, without a gap.
      const { number } = (await next.does("query", "one", "last").then(() => next.does("lastEvent", "one"))) as {
        number: number;
      };
      await old.said({ number, session: "one" });
      const numbers = old.lines.flatMap((line) => (line["session"] === "one" ? [line["number"]] : []));
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      const turns = ["last completed", "queued there completed", "next completed", "wait for it completed"];
      expect(await next.does("history", "one")).toEqual(turns.toReversed());
      expect(await old.does("history", "one")).toEqual(turns.toReversed());
      expect(await old.does("drain")).toEqual({ completed: true });
      for (const one of [old, next]) {
        const warnings = (await one.does("warnings")) as string[];
        expect(warnings.filter((warning) => !warning.includes("fsync"))).toEqual([]);
      }
    },
  );
});
