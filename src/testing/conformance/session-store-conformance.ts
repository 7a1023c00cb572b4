import { equal } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import type { ConformanceCase } from "./journal-conformance.ts";
import type { OptionalStoreMethod, StoreCase } from "./session-store-case.ts";
import { LISTING_CASES } from "./session-store-listing-cases.ts";
import { TRANSCRIPT_CASES } from "./session-store-transcript-cases.ts";

/** What is known of a store that is put to the test. */
export interface SessionStoreTraits {
  /** The optional methods that it does not have. What needs them is left out; one that it has after all fails. */
  readonly without?: readonly OptionalStoreMethod[];
}

const OPTIONAL: readonly OptionalStoreMethod[] = ["listSessions", "listSessionSummaries", "delete", "listSubkeys"];

/**
 * What the Agent SDK says of a `SessionStore`, as cases for any test runner: order, idempotence by `uuid`, entries that come
 * back as they were, keys that may be anything, lists, summaries, deletion.
 *
 * @param make makes a store, or the access to one; it is disposed of after the case if it can be. Cases use keys that no other
 * case uses, so that it need not be empty.
 * @example
 * for (const { name, run } of sessionStoreConformance(() => new MyStore(), { without: ["delete"] })) it(name, run);
 */
export function sessionStoreConformance(
  make: () => SessionStore | Promise<SessionStore>,
  { without = [] }: SessionStoreTraits = {},
): readonly ConformanceCase[] {
  const methods: StoreCase = {
    name: "has the optional methods that it is said to have, and no other ones",
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
