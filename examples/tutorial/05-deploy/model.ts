import type { SessionDefaults } from "castellan";
import { mockApi } from "castellan/testing";

/** The model that the sessions talk to. */
export interface Model extends AsyncDisposable {
  /** What a session needs to reach it. */
  readonly defaults: SessionDefaults;
}

/** Starts a mock of the model's API on this machine. Asked for a note, it wants to run a command. */
export async function startModel(): Promise<Model> {
  const api = await mockApi();
  // Slow, so that there is time to break it.
  const story = Array.from({ length: 60 }, (_, line) => `Line ${line + 1} of a long story.`).join("\n");
  api.reply("story", { text: story, tokensPerSecond: 20 });
  api.reply("note", { text: "I write a note.", toolUses: [{ name: "Bash", input: { command: "touch note && ls" } }] });
  return { defaults: { env: api.env, cwd: api.cwd }, [Symbol.asyncDispose]: () => api.stop() };
}
