import type { ClusterOptions } from "castellan";

// #region tls
export function withTls(options: ClusterOptions): ClusterOptions {
  return {
    ...options,
    advertise: "https://10.0.0.7:7700",
    tls: { ca: "/etc/support/ca.pem", cert: "/etc/support/node.pem", key: "/etc/support/node.key" },
  };
}
// #endregion
