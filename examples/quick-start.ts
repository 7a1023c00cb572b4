// #region ask
import { query, Supervisor, type SupervisorOptions, stream } from "castellan";

export async function main(options: SupervisorOptions = {}): Promise<void> {
  await using _supervisor = await Supervisor.start(
    [
      { name: "assistant" },
      { name: "reviewer", systemPrompt: "You review code for bugs and improvements", maxTurns: 5 },
    ],
    options,
  );

  const reply = await query("reviewer", "Review this: const half = (n) => n / 3;", { timeout: "2m" });
  console.log(reply.text, reply.costUsd, reply.usage);

  for await (const text of stream("assistant", "Name three rivers of France").text()) process.stdout.write(text);
}

if (import.meta.main) await main();
// #endregion

// #region conversation
export async function remembers(): Promise<string> {
  await query("assistant", "My name is Ada.");
  const { text } = await query("assistant", "What is my name?");
  return text;
}
// #endregion
