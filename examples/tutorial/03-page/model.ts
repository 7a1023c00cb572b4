import type { SessionDefaults } from "castellan";
import { mockApi } from "castellan/testing";

/** The model that the sessions talk to. */
export interface Model extends AsyncDisposable {
  /** What a session needs to reach it. */
  readonly defaults: SessionDefaults;
}

/** Starts a mock of the model's API on this machine. */
export async function startModel(): Promise<Model> {
  const api = await mockApi();
  return { defaults: { env: api.env, cwd: api.cwd }, [Symbol.asyncDispose]: () => api.stop() };
}
