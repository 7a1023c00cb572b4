// One file for several examples, since loading the library takes longer than these tests.
import "./configuration.ts";
import "./deploys.ts";
import "./fault-tolerance.ts";
import "./integration-tests.ts";
import "./management.ts";
import "./several-services.ts";
import "./testing.ts";
import "./tls.ts";
import "./tutorial.ts";
import "./webhooks.ts";
