// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

// ConfigKeys are the members of a configuration, below which Caddy's admin endpoint
// has the paths of /config/.
var ConfigKeys = []string{"admin", "apps", "logging", "storage"}

// AdminPatterns are what Caddy's admin endpoint serves by itself, as patterns of
// [net/http.ServeMux]; to them come those of the modules in the namespace admin.api. A
// module's pattern that is more specific wins, one that conflicts makes it panic.
var AdminPatterns = []string{
	"/config/", "/id/", "/stop",
	"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace", "/debug/vars",
}

// AdminRequestLogger and AdminRequestMessage are the name and the message of the entry that
// Caddy's admin endpoint writes of each request at level info, with the fields method and
// uri, and secure where it came over TLS.
const (
	AdminRequestLogger  = "admin.api"
	AdminRequestMessage = "received request"
)
