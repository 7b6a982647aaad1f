// A store in one file that is replaced, in Go; each version is promised when it is there.
//
//	go build -o /tmp/store store.go
//	daxkit prove --mount-fuse DIR --check '/tmp/store check' -- /tmp/store HOW
//
// HOW: plain (os.WriteFile, os.Rename); synced (Sync before the rename); whole (and of the folder).
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

var folder = os.Getenv("DAXKIT_MOUNT")

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func sync(path string) {
	file, err := os.Open(path)
	must(err)
	must(file.Sync())
	must(file.Close())
}

func save(version int, how string) {
	body := strings.Repeat(strconv.Itoa(version), 5000)
	must(os.WriteFile(folder+"/new", []byte(body), 0o644))
	if how != "plain" {
		sync(folder + "/new")
	}
	must(os.Rename(folder+"/new", folder+"/store"))
	if how == "whole" {
		sync(folder)
	}
	fmt.Println("ack", version)
}

func check() {
	acked, err := strconv.Atoi(os.Getenv("DAXKIT_ACKED"))
	must(err)
	body, err := os.ReadFile(folder + "/store")
	if os.IsNotExist(err) && acked == 0 {
		return
	}
	must(err)
	for version := acked; version <= 3; version++ {
		if version > 0 && string(body) == strings.Repeat(strconv.Itoa(version), 5000) {
			return
		}
	}
	fmt.Printf("%d versions were promised; the file has %d bytes: %.10q\n", acked, len(body), body)
	os.Exit(1)
}

func main() {
	if os.Args[1] == "check" {
		check()
		return
	}
	for version := 1; version <= 3; version++ {
		save(version, os.Args[1])
	}
}
