import { approvalOperations } from "./approval-operations.ts";
import { clusterOperations } from "./cluster-operations.ts";
import { eventOperations } from "./event-operations.ts";
import { inspectionOperations } from "./inspection-operations.ts";
import type { Operation } from "./operation.ts";
import { poolOperations } from "./pool-operations.ts";
import { scheduleOperations } from "./schedule-operations.ts";
import { sessionControls } from "./session-controls.ts";
import { sessionOperations } from "./session-operations.ts";
import { supervisorOperations } from "./supervisor-operations.ts";
import { turnOperations } from "./turn-operations.ts";
import { webhookOperations } from "./webhook-operations.ts";

/** All operations of Castellan's own API, in the order of the documentation. */
export const OPERATIONS: readonly Operation[] = [
  ...sessionOperations,
  ...sessionControls,
  ...inspectionOperations,
  ...turnOperations,
  ...scheduleOperations,
  ...eventOperations,
  ...approvalOperations,
  ...poolOperations,
  ...supervisorOperations,
  ...webhookOperations,
  ...clusterOperations,
];
