import { defineConfig, global, template } from "castellan";

/** On one host the journal is a SQLite file. With a database, this process is a node of a cluster. */
const isNode = Boolean(process.env["DATABASE_URL"]);

export default defineConfig({
  name: "app",
  children: [template(isNode ? global("support") : "support", { idleTimeout: "10m" })],
  defaults: {
    // A directory of its own for each session, so that none of them reads the journal or the tokens.
    isolate: true,
    allowedTools: ["Read", "Write", "Edit"],
    timeout: "10m",
  },
  ...(isNode
    ? {
        // Of sessions that are not global: this application has none.
        journal: "memory",
        cluster: {
          postgres: { env: "DATABASE_URL" },
          // The database itself, because notifications do not pass through PgBouncer.
          notifications: { env: "NOTIFICATIONS_URL", default: false },
          secret: { env: "CLUSTER_SECRET" },
          name: { env: "NODE_NAME" },
          advertise: { env: "ADVERTISE" },
          maxProcesses: { env: "MAX_PROCESSES", as: "number", default: 8 },
        },
      }
    : {
        journal: { sqlite: ".castellan/castellan.db", waitForOwner: "2m" },
        capacity: { maxProcesses: { env: "MAX_PROCESSES", as: "number", default: 8 } },
      }),
});
