import { query, Supervisor } from "castellan";
import { mockApi } from "castellan/testing";

// A mock of the model's API on this machine. The last chapter replaces it by the real one.
await using api = await mockApi();
api.reply("capital of France", "Paris.");

await using _supervisor = await Supervisor.start([{ name: "assistant" }], {
  defaults: { env: api.env, cwd: api.cwd },
});

const { text, durationMs } = await query("assistant", "What is the capital of France?");
console.log(`${text} (${Math.round(durationMs)} ms)`);
