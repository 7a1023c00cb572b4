import type { SessionDefaults } from "castellan";

/** The model that the sessions talk to. */
export interface Model extends AsyncDisposable {
  /** What a session needs to reach it. */
  readonly defaults: SessionDefaults;
}

/** Anthropic's API. A process reads the key from the environment when it starts. */
export async function startModel(): Promise<Model> {
  return {
    defaults: { apiKey: { env: "ANTHROPIC_API_KEY" }, model: "claude-sonnet-5", maxTurns: 20 },
    [Symbol.asyncDispose]: async () => {},
  };
}
