// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package winservice

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// manager is that of this machine.
type manager struct{ mgr *mgr.Mgr }

// Open connects to the manager of services, for which one has to be an administrator.
func Open() (Manager, error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, fmt.Errorf("connecting to the service manager: %w; run this command as an administrator", err)
	}
	return manager{m}, nil
}

func (m manager) Close() error { return m.mgr.Disconnect() }

// restarts are what follows when the service ends without having been stopped. What fails
// again and again is left alone for a minute each time.
var restarts = []mgr.RecoveryAction{
	{Type: mgr.ServiceRestart, Delay: 5 * time.Second},
	{Type: mgr.ServiceRestart, Delay: 5 * time.Second},
	{Type: mgr.ServiceRestart, Delay: time.Minute},
}

// calmDown is after how many seconds without a failure the first delay holds again.
const calmDown = 3600

func (m manager) Create(s Service) error {
	service, err := m.mgr.CreateService(s.Name, s.Program, mgr.Config{
		StartType:   mgr.StartAutomatic,
		DisplayName: "Caddy with a supervised broker (" + s.Name + ")",
		Description: "Serves the sites of " + s.Args[2] + " from a child process that is watched over.",
	}, s.Args...)
	if err != nil {
		return err
	}
	defer service.Close()
	if err := service.SetRecoveryActions(restarts, calmDown); err != nil {
		return errors.Join(fmt.Errorf("saying what follows when it fails: %w", err), service.Delete())
	}
	return nil
}

func (m manager) Remove(name string) error {
	return m.with(name, (*mgr.Service).Delete)
}

func (m manager) Start(name string) error {
	return m.with(name, func(s *mgr.Service) error { return s.Start() })
}

func (m manager) Stop(name string) error {
	return m.with(name, func(s *mgr.Service) error {
		_, err := s.Control(svc.Stop)
		return err
	})
}

func (m manager) State(name string) (state State, err error) {
	err = m.with(name, func(s *mgr.Service) error {
		status, err := s.Query()
		switch status.State {
		case svc.Running:
			state = Running
		case svc.Stopped:
			state = Stopped
		default:
			state = Moving
		}
		return err
	})
	return state, err
}

// with does f to the service of a name.
func (m manager) with(name string, f func(*mgr.Service) error) error {
	service, err := m.mgr.OpenService(name)
	if err != nil {
		return err
	}
	defer service.Close()
	return f(service)
}
