package memory

import (
	"fmt"
	"strings"

	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/optim"
)

// Room is how much memory there is, in bytes; 0 is not known, and not checked.
type Room struct {
	// Host is the machine's, HostSource what says so.
	Host       int64
	HostSource string
	// Device is an accelerator's, DeviceSource what says so.
	Device       int64
	DeviceSource string
}

// short says what does not fit, "" if all does.
func (r Room) short(e Estimate) string {
	switch {
	case r.Device > 0 && e.Device() > r.Device:
		return fmt.Sprintf("takes %s of the accelerator's memory, more than the %s that %s allows", Size(e.Device()), Size(r.Device), r.DeviceSource)
	case r.Host > 0 && e.Host() > r.Host:
		return fmt.Sprintf("takes %s of memory, more than the %s that %s allows", Size(e.Host()), Size(r.Host), r.HostSource)
	}
	return ""
}

// change is a setting that takes less.
type change struct {
	name  string
	apply func(t *Training) bool // false if it is so already
}

// suggestedRank is the rank that the advice computes with: PEFT's users' most common one.
const suggestedRank = 16

// changes are tried one by one, then together, in this order: first those that change the result least.
var changes = []change{
	{"GOMAXPROCS=1 in the environment", func(t *Training) bool {
		was := t.Passes
		t.Passes = 1
		return was > 1
	}},
	{"trainer.micro_positions: 512", func(t *Training) bool {
		was := t.Positions
		t.Positions = 512
		return was > 512
	}},
	{"trainer.gradient_checkpointing: true", func(t *Training) bool {
		was := t.Config.Compute.Recompute
		t.Config.Compute.Recompute = true
		return !was
	}},
	{"trainer.moments: bfloat16", func(t *Training) bool {
		was := t.Moments
		t.Moments = optim.BFloat16
		return was != optim.BFloat16
	}},
	{fmt.Sprintf("trainer.lora.rank: %d", suggestedRank), func(t *Training) bool {
		was := t.LoRA
		t.LoRA = &lora.Options{Rank: suggestedRank, Alpha: suggestedRank, Targets: []string{lora.AllLinear}}
		return was == nil
	}},
}

// Check is nil if a training fits, else an error with what would, each computed as the estimate was.
func (t Training) Check(e Estimate, r Room) error {
	short := r.short(e)
	if short == "" {
		return nil
	}
	var fits, smaller []string
	all := t
	var names []string
	for _, c := range changes {
		one := t
		if !c.apply(&one) {
			continue
		}
		if err := t.try(one, r, c.name, &fits, &smaller); err != nil {
			return err
		}
		c.apply(&all)
		names = append(names, c.name)
		if len(names) > 1 && len(fits) == 0 {
			if err := t.try(all, r, strings.Join(names, " with "), &fits, &smaller); err != nil {
				return err
			}
		}
	}
	advice := "these would fit: " + strings.Join(fits, ", ")
	if len(fits) == 0 {
		advice = "a smaller trainer.max_length, a smaller target or a larger machine may fit"
		if len(smaller) > 0 {
			advice = "no setting known here makes it fit, the least is " + smaller[len(smaller)-1] + "; " + advice
		}
	}
	return fmt.Errorf("this training %s; %s; --force tries it all the same", short, advice)
}

// try notes what a changed training takes.
func (t Training) try(changed Training, r Room, name string, fits, smaller *[]string) error {
	e, err := changed.Of()
	if err != nil {
		return err
	}
	n := e.Host()
	if r.Device > 0 {
		n = e.Device()
	}
	text := fmt.Sprintf("%s (%s)", name, Size(n))
	if r.short(e) == "" {
		*fits = append(*fits, text)
	}
	*smaller = append(*smaller, text)
	return nil
}
