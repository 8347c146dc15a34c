package runner

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of runners.
const (
	Prism    = "prism"
	Direct   = "direct"
	Portable = "portable"
	Flink    = "flink"
	Dataflow = "dataflow"
)

// Environments: who starts the workers of a portable runner.
const (
	Loopback = "LOOPBACK"
	Process  = "PROCESS"
	External = "EXTERNAL"
	Docker   = "DOCKER"
)

// Options say where jobs run. The zero value runs them on Prism in this process.
type Options struct {
	// Name is the runner: Prism, Direct, Portable, Flink or Dataflow. Default: Prism.
	Name string
	// Endpoint is the job server of Portable and Flink, host:port. Required for Portable, default localhost:8099 for Flink.
	Endpoint string
	// Environment says who starts workers: Loopback, Process, External or Docker. Default: Loopback for Portable, External
	// for Flink.
	Environment string
	// EnvironmentConfig is the environment's own: the command of Process, or a JSON object with command and env (default:
	// this program); the pool's address for External (default localhost:50000); the image for Docker (default: Beam's).
	EnvironmentConfig string
	// WorkerBinary is the program that is sent to where workers start. Default: this program for Docker and Dataflow, none
	// for the others, whose workers are this program already.
	WorkerBinary string
	// Options are the runner's own, by name. Whole numbers, true, false and JSON lists are sent as such.
	Options map[string]string
	// Stall is the time after which a job none of whose counts has moved is cancelled and has failed. 0: never.
	Stall time.Duration
	// Secrets are texts that no job may carry, such as keys from the environment.
	Secrets []string
}

// filled returns the options with defaults.
func (o Options) filled() (Options, error) {
	set := func(key *string, value string) {
		if *key == "" {
			*key = value
		}
	}
	set(&o.Name, Prism)
	switch o.Name {
	case Flink:
		set(&o.Endpoint, "localhost:8099")
		set(&o.Environment, External)
	case Portable:
		set(&o.Environment, Loopback)
	case Prism:
		o.Environment = Loopback
	}
	self, err := os.Executable()
	if err != nil {
		return o, fmt.Errorf("finding this program, which is the worker: %w", err)
	}
	if o.Environment == Docker || o.Name == Dataflow {
		set(&o.WorkerBinary, self)
	}
	switch o.Environment {
	case External:
		set(&o.EnvironmentConfig, "localhost:50000")
	case Process:
		set(&o.EnvironmentConfig, self)
		if !strings.HasPrefix(o.EnvironmentConfig, "{") {
			command, err := json.Marshal(map[string]string{"command": o.EnvironmentConfig})
			if err != nil {
				return o, err
			}
			o.EnvironmentConfig = string(command)
		}
	}
	if o.Name == Portable || o.Name == Flink {
		if _, _, err := net.SplitHostPort(o.Endpoint); err != nil {
			return o, fmt.Errorf("runner.endpoint: is %q, want the job server's host:port", o.Endpoint)
		}
	}
	return o, nil
}

// Remote says that workers are not this process.
func (o Options) Remote() bool {
	filled, err := o.filled()
	return err == nil && filled.Name != Prism && filled.Name != Direct && filled.Environment != Loopback
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]{1,15}$`)

// typed is an option's value as runners want it.
func typed(text string) any {
	var list []any
	switch {
	case text == "true" || text == "false":
		return text == "true"
	case wholeNumber.MatchString(text):
		n, _ := strconv.ParseInt(text, 10, 64) // 15 digits fit
		return float64(n)
	case strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil:
		return list
	}
	return text
}

// pipelineOptions are the options of a job: those that the Go SDK sends too, and the runner's own.
func (o Options) pipelineOptions(name string, forWorkers map[string]string) map[string]any {
	experiments := []any{"beam_fn_api"}
	if o.Name == Prism {
		experiments = append(experiments, "prism_disable_sdf_split") // one bundle a stage: counters stay monotone
	}
	goOptions := map[string]any{}
	for key, value := range forWorkers {
		goOptions[key] = value
	}
	all := map[string]any{"beam:option:go_options:v1": map[string]any{"options": goOptions}, "beam:option:app_name:v1": name}
	for _, key := range slices.Sorted(maps.Keys(o.Options)) {
		if key == "experiments" {
			for e := range strings.SplitSeq(o.Options[key], ",") {
				experiments = append(experiments, e)
			}
			continue
		}
		all["beam:option:"+key+":v1"] = typed(o.Options[key])
	}
	all["beam:option:experiments:v1"] = experiments
	return all
}

var base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)

// Carries says whether a serialised job holds a text, as it is or inside Base64, which the Go SDK packs functions in.
func Carries(job []byte, text string) bool {
	if text == "" {
		return false
	}
	if strings.Contains(string(job), text) {
		return true
	}
	for _, run := range base64Run.FindAll(job, -1) {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding} {
			if inner, err := encoding.DecodeString(string(run)); err == nil && Carries(inner, text) {
				return true
			}
		}
	}
	return false
}

// secret refuses a job that carries one of the secrets; short texts would be found by chance.
func (o Options) secret(job []byte) error {
	for _, s := range o.Secrets {
		if len(s) >= 8 && Carries(job, s) {
			return fmt.Errorf("the job carries a secret of the environment, and runners show jobs: take it out of fusion.yaml and the flags, workers read it from their own environment")
		}
	}
	return nil
}
