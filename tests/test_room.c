/* Who makes room for whom. */
#include "node/host/room.h"
#include "tests/support.h"

static void a_flood_of_strangers_pushes_out_itself(void **state)
{
    (void)state;
    struct room_guest guests[5] = {{7, 10, false}, {9, 1, false}, {7, 20, false}, {8, 2, false}, {7, 5, false}};
    assert_int_equal(room_of_strangers(guests, 5, 7), 4); /* the oldest of network 7 */
    assert_int_equal(room_of_strangers(guests, 5, 9), 4); /* also for another */
    struct room_guest two[2] = {{1, 1, false}, {2, 2, false}};
    assert_int_equal(room_of_strangers(two, 2, 2), 1); /* the newcomer is counted */
    assert_int_equal(room_of_strangers(two, 2, 3), 0);
}

static void peers_of_the_largest_network_make_room(void **state)
{
    (void)state;
    size_t gone = 99;
    struct room_guest guests[6] = {{7, 10, false}, {9, 1, false}, {7, 20, false},
                                   {7, 5, false},  {7, 30, true}, {8, 40, false}};
    assert_true(room_of_peers(guests, 6, 9, &gone)); /* three of 7 against two of 9 */
    assert_int_equal(gone, 2);                       /* the youngest that need not stay */
    assert_true(room_of_peers(guests, 6, 6, &gone));
    assert_false(room_of_peers(guests, 6, 7, &gone)); /* its own is the largest */
    guests[3].network = 9;
    assert_false(room_of_peers(guests, 6, 8, &gone)); /* it would only be as large */
    for (int i = 0; i < 6; i++)
        guests[i].stays = true;
    assert_false(room_of_peers(guests, 6, 6, &gone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_strangers_pushes_out_itself),
        cmocka_unit_test(peers_of_the_largest_network_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
