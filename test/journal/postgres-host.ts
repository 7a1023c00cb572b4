import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";

/* An application that opens a journal and a session store and closes neither, in a process of its own. */

const [postgres = "", schema = ""] = process.argv.slice(2);
await postgresJournal({ postgres, schema }).open({ id: "host", pid: process.pid, host: "here", startedAt: 0 });
console.log("opened");
await postgresSessionStore({ postgres, schema }).append({ projectKey: "p", sessionId: "s" }, [{ type: "x" }]);
console.log("stored");
