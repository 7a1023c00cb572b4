import { pool } from "castellan";

/** Two sessions that do the jobs. Each job begins with an empty conversation. */
export const summaries = pool("summaries", {
  size: 2,
  systemPrompt: "You summarise texts in three sentences.",
  // No tools: Claude only writes. With tools, give each session a directory of its own: `isolate: true`.
  tools: [],
});
