// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

const (
	// rejoinPeriod is how often seeds and lost brokers that are not members are
	// tried again: it heals a network that was cut in two.
	rejoinPeriod = 5 * time.Second
	// leaveTimeout bounds the farewell.
	leaveTimeout = 2 * time.Second
	// tcpTimeout bounds one connection to another broker.
	tcpTimeout = 3 * time.Second
	// lostFor is how long a broker that was lost without a farewell is
	// looked for.
	lostFor = 24 * time.Hour
)

// Node is this broker in the network. Membership itself is memberlist's;
// one goroutine tells of its changes.
type Node struct {
	cfg     *Network
	list    *memberlist.Memberlist
	logger  *zap.Logger
	publish func(*parlance.NetworkState)

	changed  chan struct{}
	stop     chan struct{}
	work     sync.WaitGroup
	self     atomic.Pointer[string] // address of our gossip as others see it
	conflict atomic.Pointer[string] // where another one has our name
	refused  atomic.Uint64          // messages that our key does not open, and connections that are too many
	sources  gossipSources          // of members

	// Owned by the goroutine of run.
	known      map[string]peer // by name
	rebalance  uint64
	conflicted string        // the address with our name that was last told of
	counted    uint64        // refused messages that were told of
	joining    chan struct{} // closed when the last rejoin is over; nil before the first
}

type peer struct {
	at        string // of its gossip
	addresses []string
	alive     bool
	lost      time.Time
}

// Start joins the network. It fails where the port is taken, or the name.
func Start(cfg *Network, logger *zap.Logger, publish func(*parlance.NetworkState)) (*Node, error) {
	n := &Node{
		cfg: cfg, logger: logger, publish: publish,
		changed: make(chan struct{}, 1), stop: make(chan struct{}), known: make(map[string]peer),
	}
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.BindPort, c.AdvertisePort = cfg.Name, cfg.host, cfg.port, cfg.port
	c.SecretKey, c.TCPTimeout = cfg.key, tcpTimeout
	c.Delegate, c.Events, c.Merge, c.Conflict = metaOnly{cfg.meta}, delegate{n}, delegate{n}, delegate{n}
	c.DeadNodeReclaimTime = time.Second // one that crashed may come back elsewhere
	c.Logger = log.New(&gossipLog{n: n}, "", 0)
	door, err := newDoor(
		&memberlist.NetTransportConfig{BindAddrs: []string{cfg.host}, BindPort: cfg.port, Logger: c.Logger},
		n.sources.has, func() { n.refused.Add(1) })
	if err == nil {
		c.Transport = door
		if n.list, err = memberlist.Create(c); err != nil {
			_ = door.Shutdown()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("network: starting gossip at %s: %w", net.JoinHostPort(cfg.host, strconv.Itoa(cfg.port)), err)
	}
	self := n.list.LocalNode().Address()
	n.self.Store(&self)
	if len(cfg.Seeds) > 0 {
		err := n.join(cfg.Seeds)
		if at := n.conflict.Load(); at != nil {
			_ = n.list.Shutdown()
			return nil, fmt.Errorf("network: name %q belongs to the broker at %s already: give this one another name", cfg.Name, *at)
		}
		if err != nil {
			logger.Warn("no other broker of the network reached yet", zap.Strings("seeds", cfg.Seeds), zap.Error(err))
		}
	}
	n.look()
	n.work.Add(1)
	go n.run()
	return n, nil
}

// Runs reports whether this is the node of that configuration.
func (n *Node) Runs(cfg *Network) bool { return reflect.DeepEqual(n.cfg, cfg) }

// Leave says farewell and ends the node.
func (n *Node) Leave() {
	close(n.stop)
	n.work.Wait()
	if err := n.list.Leave(leaveTimeout); err != nil {
		n.logger.Warn("leaving the network of brokers", zap.Error(err))
	}
	if err := n.list.Shutdown(); err != nil {
		n.logger.Warn("ending gossip", zap.Error(err))
	}
}

func (n *Node) run() {
	defer n.work.Done()
	tick := time.NewTicker(rejoinPeriod)
	defer tick.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-n.changed:
			n.look()
		case <-tick.C:
			n.tellConflict()
			n.rejoin()
			if n.refused.Load() != n.counted {
				n.look() // now and then, not for each of them
			}
		}
	}
}

// look takes what memberlist knows and tells of it.
func (n *Node) look() {
	now, alive := time.Now(), make(map[string]bool)
	var at []string
	defer func() { n.sources.set(at) }()
	for _, m := range n.list.Members() {
		if m.Name == n.cfg.Name {
			continue
		}
		alive[m.Name], at = true, append(at, m.Address())
		meta, err := readMeta(m.Meta)
		if err != nil {
			n.logger.Warn("broker of the network tells nothing that can be read", zap.String("name", m.Name), zap.Error(err))
		}
		if p, ok := n.known[m.Name]; !ok || !p.alive {
			n.logger.Info("broker joined the network", zap.String("name", m.Name), zap.Strings("addresses", meta.addresses()))
			n.rebalance++
		}
		n.known[m.Name] = peer{at: m.Address(), addresses: meta.addresses(), alive: true}
	}
	for name, p := range n.known {
		if p.alive && !alive[name] {
			n.logger.Info("broker left the network", zap.String("name", name))
			p.alive, p.lost = false, now
			n.known[name] = p
		}
	}
	n.publish(n.state())
}

// state is what those who serve need to know.
func (n *Node) state() *parlance.NetworkState {
	var own networkMeta
	_ = json.Unmarshal(n.cfg.meta, &own) // we wrote it
	s := &parlance.NetworkState{Name: n.cfg.Name, Addresses: own.addresses(), All: own.addresses()}
	for _, name := range slices.Sorted(maps.Keys(n.known)) {
		p := n.known[name]
		s.All = append(s.All, p.addresses...)
		if p.alive {
			s.Members = append(s.Members, name)
		}
		if n.cfg.UpdateClusterClients && n.cfg.tells(name) && (p.alive || !n.cfg.UpdateClusterClientsOnRemove) {
			s.Peers = append(s.Peers, p.addresses...)
		}
	}
	if n.cfg.RebalanceClusterClients {
		s.Rebalance = n.rebalance
	}
	n.counted = n.refused.Load()
	s.Refused = n.counted
	return s
}

// delegate is what memberlist tells of others.
type delegate struct{ n *Node }

// NotifyJoin, NotifyLeave and NotifyUpdate are called with memberlist's lock held.
func (d delegate) NotifyJoin(*memberlist.Node)   { d.n.notice() }
func (d delegate) NotifyLeave(*memberlist.Node)  { d.n.notice() }
func (d delegate) NotifyUpdate(*memberlist.Node) { d.n.notice() }

func (n *Node) notice() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// NotifyMerge refuses to join a network that has our name already.
func (d delegate) NotifyMerge(peers []*memberlist.Node) error {
	for _, p := range peers {
		if p.Name != d.n.cfg.Name || p.State == memberlist.StateDead || p.State == memberlist.StateLeft {
			continue
		}
		self, at := d.n.self.Load(), p.Address()
		if self == nil || *self == at {
			continue // that is what the others remember of us
		}
		d.n.conflict.Store(&at)
		return errNameTaken
	}
	return nil
}

var errNameTaken = errors.New("another broker has this one's name")

// NotifyConflict tells of a later one with a name that is taken.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.n.logger.Error("two brokers of the network have the same name; the later one is ignored",
		zap.String("name", existing.Name), zap.String("address", existing.Address()), zap.String("later", other.Address()))
}

// metaOnly tells others of this broker, and nothing else.
type metaOnly struct{ meta []byte }

func (d metaOnly) NodeMeta(int) []byte           { return d.meta }
func (metaOnly) NotifyMsg([]byte)                {}
func (metaOnly) GetBroadcasts(int, int) [][]byte { return nil }
func (metaOnly) LocalState(bool) []byte          { return nil }
func (metaOnly) MergeRemoteState([]byte, bool)   {}

// Interface guards
var (
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.MergeDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.Delegate         = metaOnly{}
)
