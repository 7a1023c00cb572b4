// One file for several examples, since loading the library takes longer than these tests.
import "./debug.ts";
import "./http-api.ts";
import "./record.ts";
import "./dashboard.ts";
import "./server.ts";
import "./health.ts";
import "./managed-agents.ts";
import "./streaming.ts";
import "./telemetry.ts";
import "./chat.ts";
import "./web.ts";
