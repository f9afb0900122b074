// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// What a child gets of this process's environment, besides what its options give it.
// This process may have been started with secrets that are none of its children's
// business.
var (
	// everyProgram has the variables that programs need to find their way about; a * at
	// the end stands for any further letters.
	everyProgram = []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR", "TMP", "TEMP", "XDG_*",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
	}
	// everyCaddy has besides those that Caddy, its modules and Go's runtime read by
	// themselves.
	everyCaddy = []string{
		"CADDY_*", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
		"OTEL_*", "SSLKEYLOGFILE", "GOMAXPROCS", "GOMEMLIMIT", "AUTOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR",
		"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY",
	}
	// everyWindows has those without which no program runs on that system.
	everyWindows = []string{
		"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAM*", "COMMONPROGRAM*", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
		"HOMEDRIVE", "HOMEPATH", "USERNAME", "USERDOMAIN", "COMPUTERNAME", "NUMBER_OF_PROCESSORS", "PROCESSOR_*", "OS",
	}
)

// envPlaceholder matches where a configuration uses a variable at run time.
var envPlaceholder = regexp.MustCompile(`\{env\.([^{}]+)\}`)

// Child is the environment of a child: what it needs of this process's, and the
// variables in add, whose values may use others of them ({env.NAME}). A Caddy also gets
// those that its configuration uses; config is nil for another program. None of them
// has one of the secrets, unless add has it.
func Child(config []byte, add map[string]string, secrets ...string) []string {
	wanted := slices.Clone(everyProgram)
	if config != nil {
		wanted = append(wanted, everyCaddy...)
		for _, use := range envPlaceholder.FindAllSubmatch(config, -1) {
			wanted = append(wanted, string(use[1]))
		}
	}
	if runtime.GOOS == "windows" {
		wanted = append(wanted, everyWindows...)
	}
	var env []string
	for _, variable := range supervisor.CleanEnv(os.Environ()) {
		name, value, _ := strings.Cut(variable, "=")
		secret := slices.ContainsFunc(secrets, func(s string) bool { return s != "" && strings.Contains(value, s) })
		if !secret && slices.ContainsFunc(wanted, func(pattern string) bool { return matchesName(pattern, name) }) {
			env = append(env, variable)
		}
	}
	repl := caddy.NewReplacer()
	for _, name := range slices.Sorted(maps.Keys(add)) {
		env = supervisor.SetEnv(env, name, repl.ReplaceKnown(add[name], ""))
	}
	return env
}

// matchesName reports whether a pattern names a variable. Windows knows no case.
func matchesName(pattern, name string) bool {
	if runtime.GOOS == "windows" {
		pattern, name = strings.ToUpper(pattern), strings.ToUpper(name)
	}
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// Withheld are the names of this process's variables that an environment does not have.
func Withheld(env []string) (names []string) {
	for _, variable := range supervisor.CleanEnv(os.Environ()) {
		name, _, _ := strings.Cut(variable, "=")
		if !slices.ContainsFunc(env, func(has string) bool { return strings.HasPrefix(has, name+"=") }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
