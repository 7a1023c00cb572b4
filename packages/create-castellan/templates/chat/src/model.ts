import type { SessionDefaults } from "castellan";

/** Where answers come from. */
export interface Model extends AsyncDisposable {
  /** For people. */
  readonly description: string;
  /** What the sessions need for it. */
  readonly defaults: SessionDefaults;
}

/** Anthropic's API if there is a key. Otherwise a mock of it on this machine, which repeats each prompt and costs nothing. */
export async function findModel(): Promise<Model> {
  if (process.env["ANTHROPIC_API_KEY"]) {
    return { description: "Claude", defaults: {}, [Symbol.asyncDispose]: async () => {} };
  }
  const api = await mock();
  return {
    description: "a mock, which repeats what you say. Set ANTHROPIC_API_KEY for answers of Claude",
    defaults: { env: { ...api.env } },
    [Symbol.asyncDispose]: () => api.stop(),
  };
}

async function mock() {
  try {
    const { mockApi } = await import("castellan/testing");
    return await mockApi();
  } catch (cause) {
    throw new Error("Set ANTHROPIC_API_KEY. The mock that answers without a key is a development dependency.", {
      cause,
    });
  }
}
