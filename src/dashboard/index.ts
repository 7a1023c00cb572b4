/**
 * A page for people who operate sessions, as a handler of Web-standard requests.
 *
 * @module castellan/dashboard
 */

import "../required-node.ts";

export { type Dashboard, dashboard } from "./dashboard.ts";
export type { DashboardOptions } from "./dashboard-options.ts";
