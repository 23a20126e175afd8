"""Services of type LoadBalancer of every sort, for the properties of the model."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.workers.model.world import load_balancer

SERVICES = st.lists(
    st.builds(
        load_balancer,
        st.sampled_from(["one", "two", "three"]),
        ports=st.lists(
            st.tuples(st.sampled_from(["TCP", "UDP", "SCTP"]), st.sampled_from([53, 80])), min_size=1, max_size=3
        ),
        families=st.sampled_from([["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]]),
        namespace=st.sampled_from(["red", "blue"]),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        annotations=st.sampled_from(
            [
                {},
                {"ako.vmware.com/enable-shared-vip": "k"},
                {"external-dns.alpha.kubernetes.io/hostname": "foo.example.com,one.red.avi.internal"},
            ]
        ),
        ipFamilyPolicy=st.sampled_from(["SingleStack", "PreferDualStack", "RequireDualStack"]),
        loadBalancerIP=st.sampled_from(["", "", "10.10.0.5"]),
        loadBalancerClass=st.sampled_from([None, "example.com/other"]),
        loadBalancerSourceRanges=st.sampled_from([[], ["10.0.0.0/8"]]),
        sessionAffinity=st.sampled_from(["None", "ClientIP"]),
    ),
    max_size=4,
)
GATES = st.sampled_from([frozenset(), frozenset({"IPv6LoadBalancer"})])
