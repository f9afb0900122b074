// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// poolKeeper owns what the parent keeps of a child's pools for when its process is
// gone: what the operator and experience taught them, from which every process that
// begins to serve starts, and the sockets on which the parent may answer. Of
// several processes the one counts that was activated last; what an older one still
// says about the pools is refused.
type poolKeeper struct {
	mu      lockorder.Mutex[poolKeeper]
	serving int           // id of the process that was activated last
	begun   chan struct{} // closed when it serves, or when another one was activated; nil: long ago
	kept    poolstate.Kept
	sockets []string
}

// errReplaced says that a report about the pools came from a process that is not,
// or no longer, the one that serves.
var errReplaced = errors.New("another process serves")

// activate makes process id the one that counts, and returns what it starts from, as
// topics and values.
func (k *poolKeeper) activate(id int) iter.Seq2[string, any] {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serving = id
	if k.begun != nil {
		close(k.begun)
	}
	k.begun = make(chan struct{})
	return k.kept.Pieces()
}

// take keeps what process id says of the pools.
func (k *poolKeeper) take(id int, topic string, piece []byte) error {
	err := k.put(id, topic, piece)
	if err == nil && topic != parlance.TopicMoved {
		host.state.changed()
	}
	return err
}

func (k *poolKeeper) put(id int, topic string, piece []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id != k.serving {
		return errReplaced
	}
	_, err := k.kept.Take(topic, piece)
	return err
}

// restore begins with what a parent that died had kept; an error leaves nothing.
func (k *poolKeeper) restore(pieces []statefile.Piece) error {
	var kept poolstate.Kept
	for _, p := range pieces {
		if known, err := kept.Take(p.Topic, p.Data); err != nil || !known {
			return cmp.Or(err, fmt.Errorf("topic %q is not known", p.Topic))
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = kept
	return nil
}

// pieces are what it would begin with again.
func (k *poolKeeper) pieces() iter.Seq2[string, any] {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept.Pieces()
}

// takePlain keeps the sockets on which process id speaks plain HTTP/1.
func (k *poolKeeper) takePlain(id int, sockets []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id != k.serving {
		return errReplaced
	}
	k.sockets = sockets
	if k.begun != nil {
		close(k.begun)
		k.begun = nil
	}
	return nil
}

// awaitBegin waits until the process that was activated last has begun to serve with what
// it was told, which is the moment from which its pools say what is so.
func (k *poolKeeper) awaitBegin(ctx context.Context, patience time.Duration) {
	k.mu.Lock()
	begun := k.begun
	k.mu.Unlock()
	if begun == nil {
		return
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-begun:
	case <-late.C:
	case <-ctx.Done():
	}
}

// plain are the sockets on which the parent may answer.
func (k *poolKeeper) plain() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sockets
}

// activated is told to a process that becomes the one that serves.
func (c *Hosted) activated(id int) supervisor.Pieces {
	pieces := c.pools.activate(id)
	return func(yield func(string, json.RawMessage) bool) {
		for topic, piece := range pieces {
			data, err := json.Marshal(piece)
			if err == nil && !yield(topic, data) {
				return
			}
		}
	}
}

// poolEvent is the name of an event of a pool: a child has no others to tell of.
var poolEvent = regexp.MustCompile(`^failover_[a-z_]+$`)

// maxEvent bounds one event of a child, which watchers may be many events behind, and
// one request in doubt, in bytes.
const (
	maxEvent = 16 << 10
	maxDoubt = 8 * 6 * indoubt.MaxText
)

// reported takes what a process of the child has to say. What is not understood ends
// the connection, apart from topics that another version may have.
func (c *Hosted) reported(id int, topic string, data json.RawMessage) error {
	err := c.takeReport(id, topic, data)
	if err == nil || errors.Is(err, errReplaced) {
		return err
	}
	return fmt.Errorf("reading report %q: %w: %w", topic, control.ErrUnreadable, err)
}

func (c *Hosted) takeReport(id int, topic string, data json.RawMessage) error {
	switch topic {
	case parlance.TopicPlan, parlance.TopicPool, parlance.TopicMoved:
		return c.pools.take(id, topic, data)
	case parlance.TopicPlain:
		var sockets []string
		if err := json.Unmarshal(data, &sockets); err != nil {
			return err
		}
		return c.pools.takePlain(id, sockets)
	case parlance.TopicEvent:
		var e supervisor.Event
		if err := decode(data, maxEvent, &e); err != nil {
			return err
		}
		if !poolEvent.MatchString(e.Name) {
			return fmt.Errorf("event %q is none of a pool", e.Name)
		}
		e.Data, _ = plainData(e.Data).(map[string]any)
		host.happened(e)
	case parlance.TopicDoubt:
		var d indoubt.Record
		if err := decode(data, maxDoubt, &d); err != nil {
			return err
		}
		host.doubts.Add(d)
		host.state.changed()
	case parlance.TopicCut:
		var cut []indoubt.Record
		if err := json.Unmarshal(data, &cut); err != nil {
			return err
		}
		if len(cut) > 0 {
			c.cutOff(cut, 0, plain.Line(cut[0].Reason, indoubt.MaxText))
		}
	}
	return nil
}

// maxEventText bounds a text in an event of a child, in bytes.
const maxEventText = 2 << 10

// plainData is what an event says with texts that can be shown.
func plainData(v any) any {
	switch v := v.(type) {
	case string:
		return plain.Line(v, maxEventText)
	case []any:
		for i := range v {
			v[i] = plainData(v[i])
		}
		return v
	case map[string]any:
		data := make(map[string]any, len(v))
		for name, value := range v {
			data[plain.Line(name, maxEventText)] = plainData(value)
		}
		return data
	}
	return v
}

// decode reads JSON of at most limit bytes.
func decode(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("it has %d bytes, the limit is %d", len(data), limit)
	}
	return json.Unmarshal(data, v)
}
