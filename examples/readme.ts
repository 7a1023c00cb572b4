// #region use
import { query, Supervisor, stream, template } from "castellan";

await using _supervisor = await Supervisor.start(
  [
    { name: "reviewer", systemPrompt: "You review code for bugs", maxTurns: 5 },
    template("support", (userId: number) => ({ systemPrompt: `You help user ${userId}`, idleTimeout: "10m" })),
  ],
  { capacity: { maxProcesses: 16 } },
);

// Anywhere in the application, by name:
const { text, costUsd } = await query("reviewer", "Review this: const half = (n) => n / 3;", { timeout: "2m" });
console.log(text, costUsd);

for await (const piece of stream(["support", 42], "Where is my parcel?").text()) process.stdout.write(piece);
// #endregion
