// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// fault breaks something, and mends what does not mend itself. length is how
// long it lasts where that can be chosen; rng is its own.
type fault struct {
	name string
	do   func(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error
}

var faults = []fault{
	{"child killed", killChild},
	{"child stopped", stopChild},
	{"standby killed", killStandby},
	{"reload", reload},
	{"promote", promote},
	{"disk full", diskFull},
	{"slow clients", slowClients},
	{"backend killed", killBackend},
	{"two backends killed", killTwo},
	{"backend stopped", stopBackend},
	{"backend drained", drainBackend},
	{"backend closes", behave(backend.Close)},
	{"backend resets", behave(backend.Reset)},
	{"backend drops packets", behave(backend.Drop)},
}

// noticed is how long a client may take to see that a kept connection has ended.
const noticed = 250 * time.Millisecond

func killChild(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
	active, _, err := w.settled(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err = syscall.Kill(active, syscall.SIGKILL); err != nil {
		return err
	}
	// A process takes a while to die, and its clients to notice.
	err = harness.Until(ctx, patience, func() error {
		if harness.Alive(active) {
			return errors.New("the child lives after SIGKILL")
		}
		return nil
	})
	w.strikes = append(w.strikes, strike{begin, time.Now().Add(noticed)})
	return errors.Join(err, w.replaced(ctx, active))
}

// stopChild lets the watchdog find a child that does nothing any more.
func stopChild(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
	active, _, err := w.settled(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err = syscall.Kill(active, syscall.SIGSTOP); err != nil {
		return err
	}
	err = w.replaced(ctx, active)
	w.strikes = append(w.strikes, strike{begin, time.Now().Add(noticed)})
	return err
}

func killStandby(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
	_, spare, err := w.settled(ctx)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Kill(spare, syscall.SIGKILL), w.replaced(ctx, spare))
}

// replaced waits until all is settled without the process.
func (w *world) replaced(ctx context.Context, pid int) error {
	for {
		active, spare, err := w.settled(ctx)
		if err != nil || (active != pid && spare != pid) {
			return err
		}
		if err = pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func reload(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
	return w.proxy.Reload(ctx)
}

// promote comes after the probation of a reload: the standby has the configuration
// before until then, and is not promoted by hand.
func promote(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
	if err := w.proved(ctx); err != nil {
		return err
	}
	return w.admin(ctx, http.MethodPost, "/broker/children/default/promote", nil)
}

// diskFull lets no file of the broker grow: the logs, and the record of what its
// children do.
func diskFull(ctx context.Context, w *world, _ *rand.Rand, length time.Duration) error {
	limit := func(soft uint64) error {
		// Those of now: one that was started meanwhile has inherited the limit.
		pids, err := w.proxy.Processes(ctx)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			var old unix.Rlimit
			err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &old)
			if err == nil {
				err = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(soft, old.Max), Max: old.Max}, nil)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		return nil
	}
	return errors.Join(limit(0), pause(ctx, length), limit(unix.RLIM_INFINITY))
}

func slowClients(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var wg sync.WaitGroup
	for range 30 {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0)) //nolint:gosec // the seed repeats it
		wg.Go(func() { slowClient(ctx, w.proxy.Addr(), own, length/200) })
	}
	wg.Wait()
	return nil
}

func killBackend(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
	b := w.backends[rng.IntN(len(w.backends))]
	err := errors.Join(b.Kill(), pause(ctx, length))
	_, again := b.Start(ctx, backend.Serve)
	return errors.Join(err, again)
}

// recovered is how long requests may take that were in progress when a backend
// died. A request that meets two deaths can be written three times in them, twice
// to the one it had a kept connection to, and is lost then, even a safe one.
const recovered = time.Second

func killTwo(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
	spared := rng.IntN(len(w.backends))
	var errs []error
	for i, b := range w.backends {
		if i != spared {
			errs = append(errs, b.Kill(), pause(ctx, recovered))
		}
	}
	errs = append(errs, pause(ctx, length))
	for i, b := range w.backends {
		if i != spared {
			_, err := b.Start(ctx, backend.Serve)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func stopBackend(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
	b := w.backends[rng.IntN(len(w.backends))]
	return errors.Join(b.Pause(), pause(ctx, length), b.Resume())
}

func drainBackend(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
	query := "?uri=" + url.QueryEscape("http://"+w.backends[rng.IntN(len(w.backends))].Addr)
	return errors.Join(
		w.admin(ctx, http.MethodPost, "/broker/pools/ordered/drain"+query, nil), pause(ctx, length),
		w.admin(ctx, http.MethodPost, "/broker/pools/ordered/resume"+query, nil))
}

func behave(mode backend.Mode) func(context.Context, *world, *rand.Rand, time.Duration) error {
	return func(ctx context.Context, w *world, rng *rand.Rand, length time.Duration) error {
		b := w.backends[rng.IntN(len(w.backends))]
		return errors.Join(b.Behave(ctx, mode), pause(ctx, length), b.Behave(ctx, backend.Serve))
	}
}

// pause is the soak's clock; it ends early with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
