import { equal } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import type { ConformanceCase } from "./journal-conformance.ts";
import type { OptionalStoreMethod, StoreCase } from "./session-store-case.ts";
import { LISTING_CASES } from "./session-store-listing-cases.ts";
import { TRANSCRIPT_CASES } from "./session-store-transcript-cases.ts";

/** The properties of a tested store. */
export interface SessionStoreTraits {
  /**
   * Optional methods that the store does not have. Cases that need them are left out; a method that exists all the same
   * fails.
   */
  readonly without?: readonly OptionalStoreMethod[];
}

const OPTIONAL: readonly OptionalStoreMethod[] = ["listSessions", "listSessionSummaries", "delete", "listSubkeys"];

/**
 * Returns the rules of the Agent SDK's `SessionStore` as cases for any test runner: order, idempotence by `uuid`,
 * unchanged entries, arbitrary keys, lists, summaries, deletion.
 *
 * @param make makes a store, or a connection to one, which is disposed of after the case if it is disposable. Each case
 * uses keys of its own, so the store need not be empty.
 * @example
 * for (const { name, run } of sessionStoreConformance(() => new MyStore(), { without: ["delete"] })) it(name, run);
 */
export function sessionStoreConformance(
  make: () => SessionStore | Promise<SessionStore>,
  { without = [] }: SessionStoreTraits = {},
): readonly ConformanceCase[] {
  const methods: StoreCase = {
    name: "has exactly the optional methods that it declares",
    check: async ({ store }) => {
      for (const method of OPTIONAL) {
        equal(typeof store[method], without.includes(method) ? "undefined" : "function", `of \`${method}\``);
      }
    },
  };
  return [methods, ...TRANSCRIPT_CASES, ...LISTING_CASES]
    .filter(({ needs = [] }) => !needs.some((method) => without.includes(method)))
    .map(({ name, check }) => ({ name, run: () => runCase(make, check) }));
}

async function runCase(make: () => SessionStore | Promise<SessionStore>, check: StoreCase["check"]): Promise<void> {
  const store: SessionStore & Partial<AsyncDisposable> = await make();
  const projectKey = `conformance-${randomUUID()}`;
  try {
    await check({
      store,
      projectKey,
      key: (sessionId, subpath) =>
        subpath === undefined ? { projectKey, sessionId } : { projectKey, sessionId, subpath },
      write: async (key, ...batches) => {
        for (const batch of batches) await store.append(key, batch);
      },
    });
  } finally {
    await store[Symbol.asyncDispose]?.();
  }
}
