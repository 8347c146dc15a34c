package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// secretName are the names of options that hold secrets.
var secretName = regexp.MustCompile(`(?i)(^|[_.-])(api_?key|access_?key|private_?key|key|token|secret|password|passwd|credentials?)$`)

// notSecret are options of that form whose value is none: the name of a key in a key store.
var notSecret = []string{"dataflow_kms_key"}

// runner checks what goes with which runner, and that no secret goes with a job: runners show options and graphs.
func (d checker) runner() {
	r := d.c.Runner
	switch {
	case r.Name == "portable" && r.Endpoint == "":
		d.fault("runner.endpoint", "is missing, want the job server of runner portable, host:port")
	case r.Endpoint != "" && r.Name != "portable" && r.Name != "flink":
		d.fault("runner.endpoint", "is %q, which runner %s has no use for, want none, or runner.name portable or flink", r.Endpoint, r.Name)
	case r.Environment != "auto" && r.Name != "portable" && r.Name != "flink":
		d.fault("runner.environment", "is %s, which runner %s has no use for, want auto, or runner.name portable or flink", r.Environment, r.Name)
	}
	for name := range r.Options {
		if secretName.MatchString(name) && !slices.Contains(notSecret, name) {
			d.fault("runner.options", "has %s, a secret by its name, which runners show: want it in the workers' environment", name)
		}
	}
	for i, m := range d.c.Models {
		if m.Endpoint == nil {
			continue
		}
		for k, address := range m.Endpoint.URLs {
			if u, err := url.Parse(address); err == nil && u.User != nil {
				d.fault(fmt.Sprintf("models[%d].endpoint.urls[%d]", i, k), "has a user or password, which jobs carry and runners show, want the key in PROFUSER_API_KEY and %s", u.Host)
			}
		}
	}
}
