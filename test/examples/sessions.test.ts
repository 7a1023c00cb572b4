// One file for several examples, since loading the library takes longer than these tests.
import "./approvals.ts";
import "./balancing.ts";
import "./commands.ts";
import "./dynamic-sessions.ts";
import "./erasure.ts";
import "./migration.ts";
import "./pools.ts";
import "./schedules.ts";
import "./quick-start.ts";
import "./registry.ts";
import "./static-sessions.ts";
import "./tenants.ts";
