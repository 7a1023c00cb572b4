import { global, Supervisor, type SupervisorOptions, template } from "castellan";

/** A conversation for each user, which exists once in the cluster. Each machine runs this program. */
export async function startChats(options: SupervisorOptions = {}): Promise<Supervisor> {
  const chat = template(global("chat"), (user: string) => ({
    systemPrompt: `You help ${user}. Answer in a few sentences.`,
    tools: ["Bash"],
    approvals: { timeout: "1h" }, // Claude asks before it runs a command; after an hour, the answer is no
    isolate: true, // each conversation has a directory of its own
    idleTimeout: "10m",
    budget: { usd: 1, per: "day" },
  }));
  return await Supervisor.start([chat], {
    ...options,
    journal: "memory", // for sessions that are not global; the database is the journal of global ones
    cluster: {
      postgres: required("DATABASE_URL"),
      secret: required("CHAT_SECRET"), // 32 characters or more, the same on each machine
      advertise: required("CHAT_ADVERTISE"), // where the others reach this one: http://10.0.0.7:7700
      maxProcesses: 8,
    },
  });
}

/** A variable that the machine must set. */
function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`Set ${name}.`);
  return value;
}
